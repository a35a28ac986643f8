"""The house: who may import whom, and what no file, function or import does.

A rule is a function that returns the names of those who break it. KNOWN lists, by rule, those that
still do: a list may only shrink, and the test fails when a listed one no longer offends. What
offends now:

    python tests/test_house.py
"""

import ast
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOP = {"README.md", "Makefile", "train.py", "infer.py", "infer.html", "csrc", "cuda", "data",
       "tests", "requirements.txt", "LICENSE"}            # and dotfiles
LINES, FUNCTION, COLUMNS = 600, 60, 100      # the most of a file, of a function, of a line
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

# Imports go down this list, or stay within a line of it; csrc's own modules have an order, too.
ORDER = ["csrc.shown", "csrc.files", "csrc.fetch", "csrc.remote",
         "csrc.cli csrc.config csrc.ranks", "csrc.families",
         "csrc.hf csrc.gguf csrc.gguf_write csrc.lookup", "csrc.adapter",
         "csrc.bind csrc.gptq csrc.store", "csrc.engine",
         "csrc.runs csrc.plot csrc.launch", "data.tokens", "data.crawl",
         "data.chat", "data.exams", "data.pocket", "data.stages", "data.experiments", "data",
         "infer train"]
# What is looked up by its name, when it is asked for: (who, what). The embedded corpus; the
# standard modules that a program and its tests both have.
LOOKED_UP = {("data/tokens/documents.py", "data.pocket.corpus"), ("data/exams/judged.py", "place")}
# Functions that are longer because they are the story: name -> why.
STORIES: dict[str, str] = {}

KNOWN: dict[str, str] = {}


# ------------------------------------------------------------------------------------- the sources

@cache
def modules() -> dict[str, Path]:
    """{module: its file} of the product's Python."""
    files = [*ROOT.glob("csrc/*.py"), *ROOT.glob("data/**/*.py"), ROOT / "train.py",
             ROOT / "infer.py"]
    return {".".join(f.relative_to(ROOT).with_suffix("").parts): f for f in sorted(files)}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports(module: str) -> set[str]:
    """The product's modules that a module imports, anywhere in its file."""
    found = set()
    for node in ast.walk(tree(modules()[module])):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*module.split(".")[:-node.level], *filter(None, [node.module])])
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return found & modules().keys() - {module}


def rank(module: str) -> int:
    """The line of ORDER that a module belongs to: the longest name there that it begins with."""
    places = {room: k for k, line in enumerate(ORDER) for room in line.split()}
    parts = module.split(".")
    best = next((room for n in range(len(parts), 0, -1) if (room := ".".join(parts[:n])) in places),
                None)
    assert best, f"{module}: in no line of ORDER"
    return places[best]


# ---------------------------------------------------------------------------------------- the rules

def upward_imports():
    """Who imports what stands below it in ORDER: "importer > imported"."""
    return {f"{module} > {other}" for module in modules() for other in imports(module)
            if rank(other) > rank(module)}


def circles():
    """Modules that import each other, lazy imports counted: each by one way around."""
    found, done = set(), set()

    def visit(module, path):
        if module in path:
            circle = path[path.index(module):]
            first = circle.index(min(circle))
            found.add(" > ".join([*circle[first:], *circle[:first]]))
        elif module not in done:
            for other in sorted(imports(module)):
                visit(other, [*path, module])
            done.add(module)
    for module in modules():
        visit(module, [])
    return found


def hidden_imports():
    """Files that import modules by computed names, but for those of LOOKED_UP."""
    found = set()
    for path in modules().values():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                    "__import__", "import_module", "importlib.import_module"):
                target = node.args[0]
                target = target.value if isinstance(target, ast.Constant) else ast.unparse(target)
                if (name(path), target) not in LOOKED_UP:
                    found.add(f"{name(path)}: {target}")
    return found


def statements_at_import():
    """Statements of modules that are no definition, import or constant, outside of
    `if __name__ == "__main__"`."""
    plain = (ast.Import, ast.ImportFrom, *FUNCTIONS, ast.ClassDef, ast.Assign, ast.AnnAssign)
    found = set()
    for path in modules().values():
        for node in tree(path).body:
            text = ast.unparse(node)
            if not (isinstance(node, plain) or isinstance(node, ast.Expr)
                    and isinstance(node.value, ast.Constant)
                    or isinstance(node, ast.If) and "__name__" in text.split("\n")[0]):
                found.add(f"{name(path)}: {text.split(chr(10))[0]}")
    return found


def lengths() -> dict[str, int]:
    """The lines of each function, in Python and in C: "file:function"."""
    found = {f"{name(path)}:{node.name}": node.end_lineno - node.lineno + 1
             for path in modules().values() for node in ast.walk(tree(path))
             if isinstance(node, FUNCTIONS)}
    for path in [*ROOT.glob("csrc/*.c"), *ROOT.glob("cuda/*.cu")]:
        found |= {f"{name(path)}:{function}": lines for function, lines in c_functions(path)}
    return found


def long_functions():
    """Functions of over FUNCTION lines, but for STORIES."""
    return {function for function, lines in lengths().items() if lines > FUNCTION} - STORIES.keys()


def c_functions(path):
    """(name, lines) of each function of a C file: it begins at a line's beginning, and ends with a
    brace that stands there alone."""
    begun = None
    for number, line in enumerate(path.read_text().split("\n")):
        head = re.match(r"[A-Za-z_].*?\b(\w+)\(", re.sub(r"__\w+__\(.*?\) ?", "", line))
        if head and not line.rstrip().endswith(";"):
            begun = head[1], number
        elif line.rstrip() in ("}", "};"):
            if begun:
                yield begun[0], number - begun[1] + 1
            begun = None


def undocumented():
    """Modules, and their public functions and classes, without a docstring; what `main` does is
    told by its module's."""
    found = set()
    for path in modules().values():
        if not ast.get_docstring(tree(path)):
            found.add(name(path))
        found |= {f"{name(path)}:{node.name}" for node in tree(path).body
                  if isinstance(node, (*FUNCTIONS, ast.ClassDef)) and node.name != "main"
                  and not node.name.startswith("_") and not ast.get_docstring(node)}
    return found


def sources():
    """The files of code."""
    files = [file for folder in ("csrc", "cuda", "data", "tests") for pattern in
             ("*.py", "*.c", "*.h", "*.cu", "*.cuh", "*.sh")
             for file in (ROOT / folder).rglob(pattern)]
    return [*files, ROOT / "train.py", ROOT / "infer.py"]


def long_files():
    """Files of over LINES lines."""
    return {name(file) for file in sources() if file.read_text().count("\n") > LINES}


def wide_lines():
    """Lines of over COLUMNS columns."""
    return {f"{name(file)}:{number}" for file in sources()
            for number, line in enumerate(file.read_text().split("\n"), 1) if len(line) > COLUMNS}


def odd_top_level():
    """Names at the top that are neither in TOP nor dotfiles, of what git knows."""
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    return {top for line in done.stdout.splitlines() if (top := line.split("/")[0]) not in TOP
            and not top.startswith(".")}


def unnamed_files():
    """Files that README's tree does not name, of csrc and of data's rooms but those that can be
    skipped; headers go with their .c."""
    tree = (ROOT / "README.md").read_text().partition("\ncsrc/ ")[2].partition("```")[0]
    return {name(file) for file in sources() if name(file).split("/")[0] in ("csrc", "data")
            and file.parent.name not in ("pocket", "experiments") and file.suffix != ".h"
            and not re.search(rf"(?<!\w){re.escape(file.name)}", tree)}


@cache
def loaded(*names) -> dict:
    """What importing modules one after the other, in a process of its own, does to it."""
    program = """
import json, os, signal, sys, threading
def state():
    return {"handlers": [str(signal.getsignal(s)) for s in sorted(signal.valid_signals())],
            "environment": dict(os.environ), "arguments": sys.argv, "hooks": str(sys.excepthook),
            "threads": [t.name for t in threading.enumerate()]}
import numpy, tqdm, multiprocessing.resource_tracker
before, changed = state(), {}
for module in json.loads(sys.argv[1]):
    __import__(module)
    after = state()
    changed[module] = [key for key in before if before[key] != after[key]]
    before = after
print(json.dumps({"changed": changed, "modules": [*sys.modules]}))
"""
    done = subprocess.run([sys.executable, "-c", program, json.dumps(names)], cwd=ROOT,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def changes_at_import():
    """Modules whose import changes a signal handler, the environment, the arguments or the threads;
    those they import are imported before them."""
    found = loaded(*sorted(modules(), key=lambda module: (rank(module), module)))
    return {f"{module}: {what}" for module, changed in found["changed"].items() for what in changed}


def pocket_in_train():
    """Modules of the pocket world that `import train` loads."""
    return {module for module in loaded("train")["modules"] if module.startswith("data.pocket")}


RULES = [upward_imports, circles, hidden_imports, statements_at_import, long_functions,
         undocumented, long_files, wide_lines, unnamed_files, odd_top_level, changes_at_import,
         pocket_in_train]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_nobody_breaks_a_rule_of_the_house_but_those_known_to(rule):
    found, known = rule(), {*filter(None, KNOWN.get(rule.__name__, "").strip().split("\n"))}
    assert not found - known, rule.__doc__
    assert not known - found, "no longer offends: strike it from KNOWN"


def test_stories_are_functions_that_are_long():
    assert all(lengths().get(story, 0) > FUNCTION and why for story, why in STORIES.items())


def test_the_rules_see_what_they_forbid(tmp_path, monkeypatch):
    """On a house of two modules that breaks each of them."""
    for folder in ("csrc", "data/pocket"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "csrc/files.py").write_text("def f():\n    from data.pocket import world\n")
    (tmp_path / "data/pocket/world.py").write_text(
        'print("hello")\nfrom csrc import files\n__import__("csrc" + ".files")\n'
        f"def g():\n{'    pass' + chr(10)}{'    g()' + chr(10)}" + "    g()\n" * 600 + "#" * 101)
    (tmp_path / "README.md").write_text("```\ncsrc/   profiles.py  a name\n```\n")
    for top in ("train.py", "infer.py"):
        (tmp_path / top).write_text('"""A program."""\n')
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    modules.cache_clear()
    try:
        assert upward_imports() == {"csrc.files > data.pocket.world"}
        assert circles() == {"csrc.files > data.pocket.world"}
        assert hidden_imports() == {"data/pocket/world.py: 'csrc' + '.files'"}
        assert len(statements_at_import()) == 2
        assert long_functions() == {"data/pocket/world.py:g"}
        assert long_files() == {"data/pocket/world.py"}
        assert wide_lines() == {"data/pocket/world.py:607"}
        assert unnamed_files() == {"csrc/files.py"}
        assert undocumented() == {"csrc/files.py", "csrc/files.py:f", "data/pocket/world.py",
                                  "data/pocket/world.py:g"}
    finally:
        modules.cache_clear()


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    for each in RULES:
        print(f'    "{each.__name__}": """', *sorted(each()), '""",', sep="\n")
