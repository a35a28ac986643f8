"""The inside of the Python tool: bubblewrap runs this text, which then runs a model's code.

data/chat/tools.py starts it with -c in an empty file system, as the only process there. Before the
first line of that code it limits itself with setrlimit, has the kernel refuse the system calls of
REFUSED (seccomp, through libseccomp), and sends a handle of its scratch folder over a socket: if
any of that fails, the handle never comes and the tool is off. What the code prints goes to stdout;
so do the value of a last expression, as in a notebook, and a short traceback. Open matplotlib
figures follow the handle as PNGs, each after its length (4 bytes, little endian).

Since the process can start no other one, its limits of memory and time are those of the whole tool.
"""
import ast
import ctypes
import errno
import io
import linecache
import os
import resource
import socket
import sys
import traceback
import types

NAME = "<python>"       # of the code, in tracebacks
FRAMES = 4              # of a traceback that are shown
NOT_A_THREAD = "clone"  # refused without CLONE_THREAD

# Other programs and processes; what looks into processes; namespaces and mounts; memory that no
# limit of ours counts; sockets but pairs of them (asyncio has one); the kernel's rarely used doors.
REFUSED = """
execve execveat fork vfork clone clone3
ptrace process_vm_readv process_vm_writev process_madvise kcmp pidfd_open pidfd_getfd
unshare setns mount umount2 pivot_root chroot open_tree move_mount fsopen fsconfig fsmount fspick
mount_setattr open_by_handle_at name_to_handle_at
memfd_create memfd_secret shmget shmat msgget semget mq_open vmsplice
socket
bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register keyctl add_key
request_key personality modify_ldt iopl ioperm init_module finit_module delete_module kexec_load
kexec_file_load reboot swapon swapoff acct quotactl syslog fanotify_init
""".split()


def limit(seconds, memory, disk):
    """Limits that cannot be raised again: seconds of processor time, bytes."""
    for what, most in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_FSIZE, disk),
                       (resource.RLIMIT_NOFILE, 64), (resource.RLIMIT_NPROC, 64),
                       (resource.RLIMIT_CORE, 0), (resource.RLIMIT_MEMLOCK, 0),
                       (resource.RLIMIT_MSGQUEUE, 0), (resource.RLIMIT_SIGPENDING, 64)):
        resource.setrlimit(what, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))


class Argument(ctypes.Structure):
    """libseccomp's struct scmp_arg_cmp: here, that argument `number` & mask == value."""
    _fields_ = [("number", ctypes.c_uint), ("operator", ctypes.c_int),
                ("mask", ctypes.c_uint64), ("value", ctypes.c_uint64)]


def refuse():
    """Make the kernel answer EPERM to REFUSED, for good; of other machines' calls, kill."""
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    rules = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(0x7FFF0000)))      # allow
    no_thread = Argument(0, 7, 0x10000, 0)           # of clone's flags, CLONE_THREAD is not set
    for name in REFUSED:
        call = library.seccomp_syscall_resolve_name(name.encode())
        if call == -1:                               # older than this call
            continue
        # Without clone3 the C library falls back on clone, whose flags a filter can see.
        answer = errno.ENOSYS if name == "clone3" else errno.EPERM
        code = library.seccomp_rule_add_array(
            rules, ctypes.c_uint32(0x00050000 | answer), call, int(name == NOT_A_THREAD),
            ctypes.byref(no_thread))
        if code:
            raise OSError(-code, f"seccomp cannot refuse {name}")
    if code := library.seccomp_load(rules):
        raise OSError(-code, "seccomp is not supported")


def execute(code):
    """Run the code (bytes) as the module __main__; return whether it raised nothing."""
    module = sys.modules["__main__"] = types.ModuleType("__main__")
    out = sys.stdout
    try:
        text = code.decode()
        linecache.cache[NAME] = len(text), None, text.splitlines(True), NAME
        body = ast.parse(text, NAME).body
        last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
        exec(compile(ast.Module(body, []), NAME, "exec"), module.__dict__)
        if last:
            value = eval(compile(ast.Expression(last.value), NAME, "eval"), module.__dict__)
            if value is not None:
                print(repr(value), file=out)
        return True
    except BaseException as error:
        if isinstance(error, SystemExit) and not error.code:
            return True
        frames = [frame for frame in traceback.extract_tb(error.__traceback__)
                  if frame.filename == NAME]
        lines = traceback.format_list(frames[-FRAMES:])
        print("".join(lines + traceback.format_exception_only(error)), end="", file=out)
        return False
    finally:
        out.flush()


def figures():
    """Yield the open figures of matplotlib as PNGs (bytes)."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    for number in pyplot.get_fignums() if pyplot else ():
        image = io.BytesIO()
        pyplot.figure(number).savefig(image, format="png")
        yield image.getvalue()


def main(channel, *limits):
    code = sys.stdin.buffer.read()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)     # and no handle of a file outside is left
    limit(*limits)
    refuse()
    channel = socket.socket(fileno=channel)
    socket.send_fds(channel, [b"!"], [os.open(".", os.O_RDONLY)])
    good = execute(code)
    try:
        for image in figures():
            channel.sendall(len(image).to_bytes(4, "little") + image)
    except BaseException as error:
        print(f"the figure cannot be drawn: {type(error).__name__}: {error}", flush=True)
        good = False
    os._exit(not good)                               # whatever threads are still doing


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
