"""Tools: every way out of the sandbox that we could think of, and what switches tools off."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import programs
from data.chat import tools
from data.tokens.bpe import SPECIALS, Tokenizer
from data.chat.tools import Limits, python
from test_search import PAGES, index, write  # noqa: F401  (index is a fixture)

ROOT = Path(__file__).resolve().parents[1]
SECRET = "the-secret-that-was-planted"

needs_sandbox = pytest.mark.skipif(tools.python_off() is not None, reason=str(tools.python_off()))


# ---- The sandbox ---------------------------------------------------------------------------------

MARK = (1 << 30) + 4096 * (os.getpid() % 10_000)     # of the processes that these tests start
SMALL = Limits(memory=MARK, disk=8 << 20, files=200, output=100_000)
SHORT = replace(SMALL, seconds=1)                    # for what would never end


def survivors():
    """The command lines on this machine that have MARK among their arguments."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(MARK).encode() in path.read_bytes().split(b"\0"):
                found.append(path.parent.name)
        except OSError:
            pass
    return found


def wait_until(condition, seconds):
    end = time.monotonic() + seconds
    while not (done := condition()) and time.monotonic() < end:
        time.sleep(0.02)
    return done


@needs_sandbox
@pytest.mark.parametrize("code, text", [
    ("1 + 1", "2"), ("x = 5", "(no output)"), ("print('a'); 'b'", "a\n'b'"),
    ("None", "(no output)"),
    ("import numpy as np\nnp.arange(3) * 2", "array([0, 2, 4])"), ("", "(no output)"),
    ("import sys; sys.exit()", "(no output)"), ("if True:\n    print(3)", "3"),
    ("import asyncio\nasync def f(): return 3\nasyncio.run(f())", "3"),
    ("from dataclasses import dataclass\n@dataclass\nclass A: x: int\nA(3)", "A(x=3)"),
    ("open('a.txt', 'w').write('hi'); print(open('a.txt').read())", "hi"),
    ("from threading import Thread\nt = Thread(target=print, args=(7,)); t.start(); t.join()", "7"),
    ("hash('a') == hash('a'), {'b', 'a'} == {'a', 'b'}", "(True, True)"), ("'é' * 2", "'éé'"),
    ("import os; os.environ.get('LANG'), os.getuid(), os.getpid() < 9", "('C.UTF-8', 65534, True)"),
    ("def f(n):\n    return f(n - 1) if n else 1 / 0\nf(9)", None),
    ("import atexit; atexit.register(print, 'bye'); print('hi')", "hi\nbye"),
    ("import threading, time\ndef f(): time.sleep(0.2); print('late')\n"
     "threading.Thread(target=f).start(); 3", "3\nlate"),
    ("class A:\n    def __del__(self): print('gone')\na = A()\n5", "5\ngone"),
    ("import threading, time\n"
     "threading.Thread(target=time.sleep, args=(99,), daemon=True).start()\n7", "7"),
    ("import sqlite3\nbase = sqlite3.connect('a.db')\nbase.execute('create table t(x)')\n"
     "base.commit(); base.execute('select * from t').fetchall()", "[]"),
])
def test_a_program_shows_what_a_notebook_shows(code, text):
    found = python(code, SMALL).text
    if text is None:
        assert found.endswith("ZeroDivisionError: division by zero") and found.count("\n") < 12
        assert "line 2, in f" in found and "sandbox" not in found and "exec(" not in found
    else:
        assert found == text


@needs_sandbox
@pytest.mark.parametrize("code, error", [
    ("(", "SyntaxError"), ("1 +\x00 2", "null bytes"), ("(" * 5000, ""),
    ("raise SystemExit('x')", "x"),
    ("def f(): f()\nf()", "RecursionError"), ("input()", "EOFError"), ("\ud800", "SyntaxError"),
    ("class E(Exception):\n    def __str__(self): 1 / 0\nraise E", "str() failed"),
    ("x", "NameError"), ("import os; os._exit(7)", "it died (status 7)"),
    ("import threading\nthreading.Thread(target=lambda: 1 / 0).start()", "line 2, in <lambda>"),
    ("import threading, time\nthreading.Thread(target=time.sleep, args=(99,)).start()",
     "took more"),
    ("class R:\n    def __repr__(self): raise KeyError(5)\nR()", "KeyError: 5"),
    ("import ctypes; ctypes.string_at(0)", "it died (Segmentation fault)"),
    ("import os; os.abort()", "it died (Aborted)"),
    ("# " + "x" * 2_000_000, "more than 1048576"),
])
def test_a_program_that_fails_says_why(code, error):
    found = python(code, SHORT if error == "took more" else SMALL).text
    assert error in found and len(found) < 2000 and "bootstrap" not in found


@needs_sandbox
def test_open_figures_come_back_as_pictures():
    result = python("import matplotlib.pyplot as plt\nfor i in range(12):\n    plt.figure()\n"
                    "    plt.plot([1, 2])\nplt.show()", Limits(memory=MARK, seconds=60))
    assert result.text == f"[{tools.PICTURES} figures]" and len(result.figures) == tools.PICTURES
    assert all(image.startswith(tools.PNG) and image.endswith(b"IEND\xaeB`\x82")
               for image in result.figures)


@needs_sandbox
@pytest.mark.parametrize("size, why", [("(1e5, 1e5)", "cannot be drawn"), ("(250, 250)", "")])
def test_a_huge_figure_is_refused(size, why):
    result = python(f"import matplotlib.pyplot as plt\nplt.figure(figsize={size})\nNone",
                    Limits(memory=MARK, pictures=10_000, seconds=60))
    assert not result.figures and why in result.text


@given(st.lists(st.binary(max_size=9)), st.binary(max_size=9))
def test_pictures_are_read_as_far_as_they_are_pictures(parts, rest):
    images = [tools.PNG + part + b"." for part in parts]
    sent = b"".join(len(image).to_bytes(4, "little") + image for image in images)
    assert list(tools.pictures(sent + b"\0\0\0\0" + rest)) == images
    assert list(tools.pictures(sent[:-1])) == images[:-1]


@needs_sandbox
def test_binary_output_is_harmless():
    found = python("import sys\nsys.stdout.buffer.write(bytes(range(256)) + b'\\x1b]0;t\\x07')\n"
                   "print('\\u202eabc', '\\x9b2J')", SMALL).text
    assert not any(ord(char) < 32 and char not in "\n\t" for char in found)
    assert not set("\x1b\x7f\x9b\u202e") & set(found) and "abc" in found


@needs_sandbox
def test_output_is_cut_to_the_budget_at_its_middle():
    found = python("for i in range(9999): print(i)", Limits(memory=MARK), budget=300).text
    assert len(found) <= 300 and found.startswith("0\n1\n") and found.endswith("\n9999"[:-1] + "8")
    assert "[... cut: 48884 characters ...]" in found
    assert len(python("print('x' * 9999)", SHORT, budget=10).text) <= 10


@needs_sandbox
def test_programs_do_not_see_each_other():
    python(f"open('secret', 'w').write('{SECRET}')", SMALL)
    with ThreadPoolExecutor(2) as pool:
        other = pool.submit(python, f"open('secret', 'w').write('{SECRET}')\n"
                                    "import time; time.sleep(0.6)", SMALL)
        time.sleep(0.2)
        found = python("import os\n[open(os.path.join(a, f), errors='replace').read() "
                       "for top in ('/scratch', '/tmp', '/var', '/home')"
                       " for a, _, fs in os.walk(top) for f in fs], os.listdir('.')", SMALL).text
    assert other.result().text == "(no output)" and SECRET not in found and "[]" in found


# Each prints ESCAPED, or the secret, if it gets out. Those of OUTSIDE do, run without a sandbox.
TRY = "def attempt():\n{body}\ntry:\n    print(attempt() and 'ESCAPED')\n" \
      "except BaseException as error:\n    print('refused', repr(error)[:200])\n"
LIBC = "import ctypes; libc = ctypes.CDLL(None, use_errno=True); "

OUTSIDE = {
    "read the secret": "return open({file!r}).read()",
    "read /etc/passwd": "return 'root' in open('/etc/passwd').read()",
    "read the home": "import os, sys; return [name for name in os.listdir({home!r}) if name not in "
                     "sys.executable]",
    "read the source": "return open({source!r}).read()",
    "read the interpreter's parent": "return open('/proc/self/environ').read() or True",
    "read the environment": "import os; return os.environ['PLANTED']",
    "list processes": "import os; return os.listdir('/proc')",
    "list devices": "import os; return os.listdir('/dev/shm') or True",
    "read /sys": "import os; return os.listdir('/sys')",
    "leave by a link": "import os; os.symlink({file!r}, 'link'); return open('link').read()",
    "leave by dots": "return open('../' * 20 + {file!r}).read()",
    "write outside": "open({outside!r}, 'w').write('x'); return True",
    "write over the interpreter": "import os; open(os.__file__, 'r+'); return True",
    "connect to a server": "import socket; s = socket.create_connection(('127.0.0.1', {port}), 1);"
                           "return s.recv(99).decode()",
    "connect to a unix socket": "import socket; s = socket.socket(socket.AF_UNIX);"
                                "s.connect({unix!r}); return s.recv(99).decode()",
    "connect to an abstract socket": "import socket; s = socket.socket(socket.AF_UNIX);"
                                     "s.connect({abstract!r}); return s.recv(99).decode()",
    "fork": "import os; pid = os.fork()\n    if not pid: os._exit(0)\n    os.wait(); return True",
    "start a program": "import subprocess, sys; subprocess.run([sys.executable, '-c', '']);"
                       "return True",
    "start a process pool": "import multiprocessing as m; p = m.get_context('fork').Process();"
                            "p.start(); p.join(); return True",
    "replace the program": "import os, sys; os.execv(sys.executable, ['p', '-c', "
                           "'print(\"ESCAPED\")'])",
    "listen on a port": "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen();"
                        "return True",
    "make a file in memory": "import os; os.memfd_create('x'); return True",
}
INSIDE = {
    "look up a name": "import socket; return socket.gethostbyname('example.com')",
    "ask a name server": "import socket; s = socket.socket(type=socket.SOCK_DGRAM);"
                         "s.sendto(b'x', ('8.8.8.8', 53)); return True",
    "see interfaces": "import socket; return [n for n in socket.if_nameindex() if n[1] != 'lo']",
    "fork by a system call": LIBC + "return libc.syscall(57) >= 0",
    "clone a name space": LIBC + "return libc.syscall(56, 0x10000011, 0, 0, 0, 0) >= 0",
    "clone3": LIBC + "return libc.syscall(435, ctypes.create_string_buffer(88), 88) >= 0",
    "socket by a system call": LIBC + "return libc.syscall(41, 2, 1, 0) >= 0",
    "open by a system call": LIBC + "return libc.open({file!r}.encode(), 0) >= 0",
    "a 32-bit system call": "import ctypes, mmap; m = mmap.mmap(-1, 4096, prot=7);"
                            "m.write(bytes.fromhex('b814000000cd80c3'));"
                            "f = ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof("
                            "ctypes.c_char.from_buffer(m))); return f() > 0",
    "mount": LIBC + "return libc.mount(b'none', b'/scratch', b'tmpfs', 0, None) == 0",
    "mount /proc": LIBC + "return libc.mount(b'proc', b'/scratch', b'proc', 0, None) == 0",
    "unmount": LIBC + "return libc.umount2(b'/scratch', 2) == 0",
    "make the root writable": LIBC + "return libc.mount(None, b'/', None, 32, None) == 0 or "
                                     "open('/x', 'w')",
    "unshare": LIBC + "return libc.unshare(0x10000000) == 0",
    "change the root": "import os; os.chroot('/scratch'); return True",
    "enter a name space": LIBC + "return libc.setns(0, 0) == 0",
    "trace": LIBC + "return libc.ptrace(16, 1, 0, 0) == 0 or libc.ptrace(0, 0, 0, 0) == 0",
    "read another's memory": LIBC + "return libc.process_vm_readv(1, 0, 0, 0, 0, 0) == 0",
    "become root": "import os; os.setuid(0); return True",
    "become another": "import os; os.setgid(0); return True",
    "gain capabilities": LIBC + "h = (ctypes.c_uint32 * 2)(0x20080522, 0);"
                         "d = (ctypes.c_uint32 * 6)(*[2**32 - 1] * 6);"
                         "return libc.capset(h, d) == 0",
    "make a device": "import os, stat; os.mknod('disk', 0o600 | stat.S_IFBLK, os.makedev(8, 0));"
                     "return True",
    "open the terminal": "import os; return os.open('/dev/tty', os.O_RDWR)",
    "open a terminal": "import os; return os.openpty()",
    "type into a terminal": "import fcntl, termios\n    for fd in range(9):\n        try: "
                            "fcntl.ioctl(fd, termios.TIOCSTI, b'x'); return True\n        "
                            "except OSError: pass",
    "raise a limit": "import resource; resource.setrlimit(resource.RLIMIT_AS, (-1, -1));"
                     "return True",
    "raise another's limit": "import resource; resource.prlimit(1, resource.RLIMIT_AS, (-1, -1));"
                             "return resource.getrlimit(resource.RLIMIT_AS)[0] == -1",
    "find files by handles": LIBC + "return libc.open_by_handle_at(0, 0, 0) >= 0",
    "see inherited files": "return any(readable(n) for n in range(64))",
    "walk the objects": "import gc, sys\n    return [o for o in gc.get_objects() if "
                        "isinstance(o, dict) and 'PLANTED' in o] or "
                        "[m for m in sys.modules if m.startswith(('data', 'csrc'))]",
    "walk the subclasses": "return [c for c in ().__class__.__base__.__subclasses__() "
                           "if c.__name__ == 'Popen' and c('id')]",
    "format and exceptions": "import sys\n    try: 1 / 0\n    except Exception as e: "
                             "frame = e.__traceback__.tb_frame\n    while frame.f_back: "
                             "frame = frame.f_back\n    f = '{{0.f_globals}}'.format(frame)\n"
                             "    return {secret!r} in f or 'PLANTED' in f",
    "share memory": LIBC + "return libc.shmget(0, 1 << 20, 0o1600) >= 0",
    "use io_uring": LIBC + "return libc.syscall(425, 8, ctypes.create_string_buffer(120)) >= 0",
    "use bpf": LIBC + "return libc.syscall(321, 0, 0, 0) >= 0",
    "use the keyring": LIBC + "return libc.syscall(250, 0, -3, 1) >= 0",
    "lease a file": "import fcntl, os; fd = os.open({numpy!r}, 0);"
                    "return fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK) == 0",
    "lease with a bit more": LIBC + "fd = libc.open({numpy!r}.encode(), 0);"
                             "return libc.syscall(72, fd, ctypes.c_ulong(1 << 32 | 1024), 0) == 0",
    "be told of a folder": "import fcntl, os; fd = os.open('/packages/numpy', 0);"
                           "return fcntl.fcntl(fd, fcntl.F_NOTIFY, 1) == 0",
    "watch a file": LIBC + "return libc.inotify_init1(0) >= 0",
    "reserve asynchronous reads": LIBC + "return libc.syscall(206, 1000, "
                                  "ctypes.byref(ctypes.c_ulong())) == 0",
    "widen a pipe": "import fcntl, os; return fcntl.fcntl(os.pipe()[1], 1031, 1 << 20) > 0",
    "hint at a file's life": "import fcntl; "
                             "return fcntl.fcntl(open({numpy!r}), 1036, bytes(8)) and 1",
    "empty the machine's cache": "import os; os.posix_fadvise(os.open({numpy!r}, 0), 0, 0, "
                                 "os.POSIX_FADV_DONTNEED); return True",
    "write all disks' caches": LIBC + "return libc.syncfs(0) == 0",
    "read the kernel's log": LIBC + "return libc.klogctl(10, 0, 0) >= 0",
    "set the clock": "import time; time.clock_settime(0, 0); return True",
    "rename the host": "import socket; socket.sethostname('x'); return True",
    "see the host's name": "import socket, os; return os.uname().nodename != 'sandbox'",
    "write to the root": "open('/x', 'w'); return True",
    "write to /dev": "open('/dev/x', 'w'); return True",
    "write among the packages": "open('/packages/x.py', 'w'); return True",
}
# And those that only use more than is theirs: what they must end with.
GREEDY = {
    "loop": ("while True: pass", "it took more than 1 s"),
    "ignore signals": ("import signal\nfor n in range(1, 32):\n    try: signal.signal(n, "
                       "signal.SIG_IGN)\n    except OSError: pass\nwhile True: pass", "took more"),
    "loop in silence": ("import os\nos.close(1); os.close(2)\nfor n in range(3, 64):\n    try: "
                        "os.close(n)\n    except OSError: pass\nwhile True: pass", "took more"),
    "sleep": ("import time\ntime.sleep(99)", "it took more than 1 s"),
    "threads": ("import threading, time\nfor i in range(100_000): "
                "threading.Thread(target=time.sleep, args=(99,), daemon=True).start()",
                "new thread"),
    "fork bomb": ("import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
                  "took more"),
    "daemonise": ("import os\nif os.fork() == 0:\n    os.setsid()\n    while True: pass",
                  "PermissionError"),
    "kill everyone": ("import os\nfor n in -1, 1, 0:\n    try: os.kill(n, 9)\n    except OSError: "
                      "pass", "it died (Killed)"),
    "10 GB of memory": ("x = bytearray(10 << 30)", "MemoryError"),
    "memory bit by bit": ("x = []\nwhile True: x.append(bytearray(1 << 24))", "MemoryError"),
    "a 100 GB file": ("open('a', 'wb').truncate(100 << 30)", "File too large"),
    "a full folder": ("for i in range(99): open(str(i), 'wb').write(bytes(1 << 20))",
                      "No space left"),
    "a million files": ("for i in range(10**6): open(str(i), 'w').close()", "more than 200 files"),
    "a million links": ("import os\nfor i in range(10**6): os.symlink('x', str(i))",
                        "more than 200 files"),
    "a deep folder": ("import os\nfor i in range(10**6): os.mkdir('a'); os.chdir('a')",
                      "more than 200 files"),
    "open files": ("x = [open('/dev/null') for i in range(9999)]", "Too many open files"),
    "1 GB of output": ("import os\nfor i in range(1000): os.write(1, bytes(1 << 20))",
                       "printed more than 100000 bytes"),
    "1 GB on stderr": ("import os\nfor i in range(1000): os.write(2, bytes(1 << 20))",
                       "printed more than 100000 bytes"),
    "1 GB of figures": ("import os\nfor fd in range(3, 64):\n    try:\n        for i in range"
                        "(1000): os.write(fd, bytes(1 << 20))\n    except OSError: pass",
                        "figures have more"),
    "a power": ("len(str(9 ** 9 ** 9))", "it took more than 1 s|MemoryError|it died"),
    "a regular expression": ("import re\nre.match('(a+)+$', 'a' * 40 + 'b')", "took more than 1 s"),
}


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Secrets wherever a program could look for one; {name: place} for the attempts."""
    folder = tmp_path_factory.mktemp("planted")
    (folder / "secret.txt").write_text(SECRET)
    places = {"file": str(folder / "secret.txt"), "outside": str(folder / "written"),
              "home": os.path.expanduser("~"), "source": str(ROOT / "data" / "tools.py"),
              "unix": str(folder / "socket"), "secret": SECRET,
              "abstract": f"\0chat-test-{os.getpid()}", "numpy": "/packages/numpy/__init__.py"}
    servers = [socket.create_server(("127.0.0.1", 0))]
    places["port"] = servers[0].getsockname()[1]
    for name in ("unix", "abstract"):
        servers.append(socket.socket(socket.AF_UNIX))
        servers[-1].bind(places[name])
        servers[-1].listen()

    def serve(server):
        try:
            while True:
                with server.accept()[0] as client:
                    client.sendall(SECRET.encode())
        except OSError:
            pass

    for server in servers:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLANTED", SECRET)
        yield places
    for server in servers:
        server.close()


def attempt(body, planted):
    helpers = ("def readable(n):\n    import os\n    try: return b'secret' in os.pread(n, 99, 0)\n"
               "    except OSError: return False\n")
    return helpers + TRY.format(body="    " + body.format(**planted))


def escaped(text):
    return "ESCAPED" in text or SECRET in text


@pytest.mark.parametrize("name", OUTSIDE)
def test_an_attempt_would_succeed_without_the_sandbox(name, planted, tmp_path):
    """So that its failure in there says something."""
    if name == "write over the interpreter" and not os.access(os.__file__, os.W_OK):
        pytest.skip("the interpreter's files cannot be written by this user")
    done = subprocess.run([sys.executable, "-c", attempt(OUTSIDE[name], planted)], cwd=tmp_path,
                          capture_output=True, text=True)
    Path(planted["outside"]).unlink(missing_ok=True)
    assert escaped(done.stdout), done.stdout + done.stderr


@needs_sandbox
@pytest.mark.parametrize("name", [*OUTSIDE, *INSIDE])
def test_an_attempt_to_escape_fails(name, planted):
    found = python(attempt((OUTSIDE | INSIDE)[name], planted), SMALL).text
    assert not escaped(found), found
    assert any(word in found for word in ("refused", "None", "False", "[]", "it died")), found
    assert "SyntaxError" not in found and "NameError" not in found, found
    assert not Path(planted["outside"]).exists()
    assert wait_until(lambda: not survivors(), 1)


@needs_sandbox
@pytest.mark.parametrize("name", GREEDY)
def test_greed_ends_within_its_limits_and_the_next_call_works(name):
    code, end = GREEDY[name]
    limits = SHORT if "took" in end else SMALL
    begun = time.monotonic()
    found = python(code, limits).text
    assert time.monotonic() - begun < limits.seconds + 1
    assert any(word in found for word in end.split("|")), found
    assert wait_until(lambda: not survivors(), 1)
    assert python("6 * 7", SMALL).text == "42"


@needs_sandbox
@pytest.mark.parametrize("lock", ["fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)",
                                  "fcntl.flock(f, fcntl.LOCK_SH)", "fcntl.lockf(f, fcntl.LOCK_SH)",
                                  "fcntl.fcntl(f, 37, bytes(32))"])
def test_a_lock_in_the_sandbox_keeps_nobody_outside_waiting(lock):
    with ThreadPoolExecutor(1) as pool:
        inside = pool.submit(python, "import fcntl, time\nf = open('/packages/numpy/__init__.py')\n"
                                     f"try: {lock}\nexcept OSError: pass\ntime.sleep(2)", SMALL)
        with open(np.__file__, "r+") as file:
            while not inside.done():
                for take in fcntl.flock, fcntl.lockf:
                    take(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    take(file, fcntl.LOCK_UN)
                time.sleep(0.01)
    assert inside.result().text == "(no output)"


@needs_sandbox
def test_output_is_never_in_memory_as_a_whole():
    code = ("import resource\nfrom data import tools\n"
            "tools.python_off(); before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
            "tools.python('import os\\nwhile True: os.write(1, bytes(1 << 20))')\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert int(done.stdout) < 20_000, done.stderr        # KiB; a copy or two of the megabyte's text


@needs_sandbox
def test_the_sandbox_dies_with_the_program_that_began_it():
    code = (f"from data import tools\ntools.python('while True: pass', "
            f"tools.Limits(seconds=60, memory={MARK}))")
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    assert wait_until(lambda: len(survivors()) >= 3, 20)     # bubblewrap twice, and the program
    time.sleep(0.1)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert wait_until(lambda: not survivors(), 1)


@needs_sandbox
def test_many_programs_run_at_once():
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: python(f"{i} * {i}", Limits(memory=MARK)).text, range(12)))
    assert found == [str(i * i) for i in range(12)]


# ---- Off, with a reason --------------------------------------------------------------------------

@pytest.fixture
def unknown(monkeypatch):
    """As if nobody had asked yet whether Python is on."""
    tools.python_off.cache_clear()
    yield monkeypatch
    tools.python_off.cache_clear()


def reason():
    tool = tools.registry()["python"]
    assert tool.off and "\n" not in tool.off
    assert tool.call("print('ran')").text == f"Python is off: {tool.off}"
    return tool.off


def test_without_bubblewrap_python_is_off(unknown, tmp_path):
    unknown.setenv("PATH", str(tmp_path))
    assert "apt install bubblewrap" in reason()


def test_where_name_spaces_are_forbidden_python_is_off(unknown, tmp_path):
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    fake.chmod(0o755)
    unknown.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert "No permissions to create new namespace" in reason()
    fake.write_text("no program")
    tools.python_off.cache_clear()
    assert "Exec format error" in reason()


@needs_sandbox
def test_without_seccomp_python_is_off(unknown, tmp_path):
    other = tmp_path / "sandbox.py"
    other.write_text(tools.INSIDE.read_text().replace("libseccomp.so.2", "libmissing.so.2"))
    unknown.setattr(tools, "INSIDE", other)
    assert "libmissing.so.2" in reason()


def test_a_failing_start_is_a_result(unknown):
    def fail(*args, **kwargs):
        raise OSError(12, "Cannot allocate memory")
    unknown.setattr(tools, "python_off", lambda: None)
    unknown.setattr(subprocess, "Popen", fail)
    found = tools.python("1").text
    unknown.undo()
    assert found == "Python could not be started: [Errno 12] Cannot allocate memory"


# ---- The registry --------------------------------------------------------------------------------

def test_the_registry_says_what_is_on(index):
    found = tools.registry(index)
    assert sorted(found) == ["python", "search"]
    assert found["search"].off is None and PAGES[0]["url"] in found["search"].call("Mara Holm").text
    assert "index" in tools.registry()["search"].off
    assert {f"<|{name}_start|>" for name in found} <= set(SPECIALS)


@needs_sandbox
def test_what_tools_say_never_makes_special_tokens(index):
    tokenizer = Tokenizer.from_merges([])
    special = set(tokenizer.specials.values())
    found = tools.registry(index)
    for text in (found["search"].call("turtle 亀").text,
                 found["python"].call(f"print({''.join(SPECIALS)!r})").text):
        assert "<|im_end|>" in text
        assert not special & set(tokenizer.encode(text))


def run_script(*args):
    return programs.run("data/tools.py", *args)


def test_the_script_makes_an_index_and_searches(tmp_path):
    documents, out = write(tmp_path / "documents-0.jsonl.gz", PAGES), tmp_path / "new" / "index.db"
    assert "4 documents" in run_script("index", documents, "--out", out).stdout
    assert "Tinona" in run_script("search", out, "Where was Mara Holm born?").stdout
    wrong = run_script("search", tmp_path / "none.db", "x")
    assert wrong.returncode == 1 and wrong.stderr.count("\n") == 1 and "no such" in wrong.stderr
