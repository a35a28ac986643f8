"""A program and its tests in two sandboxes: what passes, and ways to pass without being right."""

from functools import partial

import pytest

from data.chat import tools
from data.exams import marks
from data.exams.questions import Question
from data.exams.run import passes

pytestmark = pytest.mark.skipif(tools.python_off() is not None, reason=str(tools.python_off()))

HELPERS = """import math
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from fractions import Fraction

class Pair:
    def __init__(self, a, b): self.a, self.b = a, b
    def __len__(self): return 7
    def add(self, n): self.a += n; return self

N = namedtuple('N', 'a b')

def same(x): return x
def span(pairs): return sum(pair.b - pair.a for pair in pairs)
def fill(values): values.append(1)
def fail(): raise ValueError('no')
def several(): return (Counter('aab'), OrderedDict(a=1), defaultdict(int, {1: 2}), deque([1]),
                       frozenset([1]), range(3), Fraction(1, 3), 2**200, float('inf'), 'é亀',
                       N(1, 2))
"""


def test_what_is_right_passes():
    """All in one, for each pair of sandboxes takes its time."""
    assert passes(HELPERS, """
from collections import deque
from fractions import Fraction
def check(candidate):
    assert candidate(3) == 3 and candidate(None) is None and candidate([{'a': (1, {2})}])[0]['a'][1]
    values = [0]
    fill(values)
    assert values == [0, 1] and math.isclose(math.pi, 3.14159, rel_tol=1e-3)
check(same)
assert span([Pair(1, 3), Pair(2, 5)]) == 5 and len(Pair(1, 2)) == 7 and Pair(1, 2).add(3).a == 4
assert several() == ({'a': 2, 'b': 1}, {'a': 1}, {1: 2}, deque([1]), {1}, range(3), Fraction(1, 3),
                     2**200, float('inf'), 'é亀', (1, 2))
assert list(map(same, [1])) == [1]
try:
    fail()
    assert False
except ValueError as error:
    assert str(error) == 'no'
""")
    numpy = "import numpy as np\ndef f(): return np.int64(3), np.arange(2), [np.bool_(True)]\n" \
            "def g(n):\n    for i in range(n): yield i"
    assert passes(numpy, "assert f() == (3, [0, 1], [True]) and list(g(3)) == [0, 1, 2]")


# What a cheat says, if it finds the text of the test anywhere.
ASKED = "assert f(20) == 'wanted-' + str(7 * 191)"
FOUND = """
def is_in(text): return ''.join(map(chr, [55, 32, 42, 32, 49, 57, 49])) + chr(41) in text
def say(text): return 'wanted-1337' if is_in(text) else 0
"""
CHEATS = {
    "wrong": "def f(x): return x",
    "leaves": "import os; os._exit(0)",
    "leaves when called": "import sys\ndef f(x): sys.exit(0)",
    "says so": "print('passed')\ndef f(x): print('passed')",
    "says so on every handle": "import os\ndef f(x):\n    for fd in range(99):\n        try: "
                               "os.write(fd, b'passed')\n        except OSError: pass",
    "says so at its end": "import atexit; atexit.register(print, 'passed')\ndef f(x): os._exit(0)",
    "equals everything": "class E(str):\n    def __eq__(self, other): return True\n"
                         "    def __hash__(self): return 0\ndef f(x): return E()",
    "changes what is built in": "import builtins\nbuiltins.print = lambda *a, **k: None\n"
                                "class T(str):\n    def __eq__(self, o): return True\n"
                                "builtins.str = T\ndef f(x): return builtins.str('x')",
    "changes the fractions": "from fractions import Fraction\nFraction.__eq__ = lambda *_: True\n"
                             "def f(x): return Fraction(1, 3)",
    "reads its own file": "import __main__\ndef f(x): return say(open(__main__.__file__).read())",
    "reads its source": "import linecache\ndef f(x): return say(repr(linecache.cache))",
    "reads the frames above": """import sys
def f(x):
    frame, words = sys._getframe(), ''
    while frame:
        words += repr(frame.f_locals) + repr(frame.f_globals)
        frame = frame.f_back
    return say(words)""",
    "reads its memory": "import gc\ndef f(x): return max(map(say, map(repr, gc.get_objects())), "
                        "key=str)",
    "reads the processes": "def f(x): return say(open('/proc/self/cmdline').read() + "
                           "open('/proc/1/mem').read())",
    "forges answers": "import os\n"
                      "answer = b'[\"tuple\", [true, [\"type\", \"str\"], [\"tuple\", []]]]\\n'\n"
                      "for fd in range(3, 99):\n    try: os.write(fd, answer * 9)\n"
                      "    except OSError: pass\ndef f(x): return 0",
    "sends code": """import os
def f(x):
    for fd in range(3, 99):
        for name in 'print', 'module', 'exec', '__import__', 'NoneType':
            passed = b'["tuple", [true, ["%s", ["passed"]], ["tuple", []]]]' % name.encode()
            try: os.write(fd, passed)
            except OSError: pass""",
    "never ends": "def f(x):\n    while True: pass",
    "is no program": "def f(x: return",
}


@pytest.mark.parametrize("name", CHEATS)
def test_no_program_passes_without_being_right(name, monkeypatch):
    if name == "never ends":
        limits = tools.Limits(seconds=2)
        monkeypatch.setattr(tools, "python", partial(tools.python, limits=limits))
    assert not passes(FOUND + CHEATS[name], ASKED)


def test_the_cheats_would_find_the_tests_in_their_own_program():
    found = {}
    exec(FOUND, found)
    assert found["say"](ASKED) == "wanted-1337" and found["say"](FOUND) == 0


def test_code_is_marked_by_its_tests():
    question = Question("humaneval", "1", "code", "p", {
        "before": "import math\n\ndef f(x):\n    '''Double.'''\n",
        "after": "def check(candidate):\n    assert candidate(2) == 4\n\ncheck(f)"}, "")
    assert marks.mark(question, "    return 2 * x\n", passes) == {"strict": True, "lenient": True}
    fenced = "```python\ndef f(x):\n    return 2 * x\n```"
    assert marks.mark(question, fenced, passes) == {"strict": False, "lenient": True}
    for leaves in ("    return 0\nimport os\nos._exit(0)\n", "    return 0\nraise SystemExit\n",
                   "    return 0\nprint('passed')\nquit = exit = 0\nimport sys; sys.exit(0)\n",
                   "    exit()\n"):
        assert not any(marks.mark(question, leaves, passes).values())
