"""The inside of the Python tool: bubblewrap runs this text, which then runs a model's code.

data/chat/tools.py starts it with -c in an empty file system, as the only process there. Before the
first line of that code it limits itself with setrlimit, has the kernel refuse the system calls of
REFUSED (seccomp, through libseccomp), and sends a handle of its scratch folder over a socket: if
any of that fails, the handle never comes and the tool is off. What the code prints goes to stdout;
so do the value of a last expression, as in a notebook, a short traceback, and what its threads and
its functions for the end print after that. Open matplotlib figures follow the handle as PNGs, each
after its length (4 bytes, little endian).

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
import threading
import traceback
import types

NAME = "<python>"       # of the code, in tracebacks
FRAMES = 4              # of a traceback that are shown

# Other programs and processes; what looks into processes; namespaces and mounts; memory that no
# limit of ours counts; sockets but pairs of them (asyncio has one); what a whole machine shares:
# watches of files, slots of asynchronous reads, caches; the kernel's rarely used doors.
REFUSED = """
execve execveat fork vfork
ptrace process_vm_readv process_vm_writev process_madvise kcmp pidfd_open pidfd_getfd
unshare setns mount umount2 pivot_root chroot open_tree move_mount fsopen fsconfig fsmount fspick
mount_setattr open_by_handle_at name_to_handle_at
memfd_create memfd_secret shmget shmat msgget semget mq_open vmsplice
socket
inotify_init inotify_init1 io_setup sync syncfs fadvise64 readahead cachestat
bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register keyctl add_key
request_key personality modify_ldt iopl ioperm init_module finit_module delete_module kexec_load
kexec_file_load reboot swapon swapoff acct quotactl quotactl_fd syslog fanotify_init
""".split()


def limit(seconds, memory, disk):
    """Limits that cannot be raised again: seconds of processor time, bytes."""
    for what, most in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_FSIZE, disk),
                       (resource.RLIMIT_NOFILE, 64), (resource.RLIMIT_NPROC, 64),
                       (resource.RLIMIT_CORE, 0), (resource.RLIMIT_MEMLOCK, 0),
                       (resource.RLIMIT_MSGQUEUE, 0), (resource.RLIMIT_SIGPENDING, 64)):
        resource.setrlimit(what, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))


# Commands of fcntl that concern this process alone: DUPFD, GETFD, SETFD, GETFL, SETFL, GETLK and
# DUPFD_CLOEXEC. Leases, watches and pipes' sizes are taken from those who share a file or a user.
FCNTL = {0, 1, 2, 3, 4, 5, 1030}
FCNTL_LOCKS = 6, 7      # SETLK, SETLKW
ALL_BITS = (1 << 32) - 1


class Argument(ctypes.Structure):
    """libseccomp's struct scmp_arg_cmp: here, that argument `number` & mask == value."""
    _fields_ = [("number", ctypes.c_uint), ("operator", ctypes.c_int),
                ("mask", ctypes.c_uint64), ("value", ctypes.c_uint64)]


def rules():
    """Yield (what the kernel answers, a system call, what its argument must be or None). Locks are
    granted and not taken: nobody else has the files that a program may write."""
    for name in REFUSED:
        yield errno.EPERM, name, None
    yield errno.EPERM, "clone", Argument(0, 7, 0x10000, 0)          # without CLONE_THREAD
    # Without clone3 the C library falls back on clone, whose flags a filter can see.
    yield errno.ENOSYS, "clone3", None
    yield 0, "flock", None
    for command in FCNTL_LOCKS:
        yield 0, "fcntl", Argument(1, 7, ALL_BITS, command)
    low = [*range(8), *range(1024, 1032)]                           # and all others have a bit more
    for command in {*low} - FCNTL - {*FCNTL_LOCKS}:
        yield errno.EPERM, "fcntl", Argument(1, 7, ALL_BITS, command)
    for bit in range(32):
        if not any(command >> bit & 1 for command in low):
            yield errno.EPERM, "fcntl", Argument(1, 7, 1 << bit, 1 << bit)


def refuse():
    """Make the kernel answer by `rules`, for good; other machines' calls it kills."""
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    filter = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(0x7FFF0000)))      # allow
    for answer, name, argument in rules():
        call = library.seccomp_syscall_resolve_name(name.encode())
        if call == -1:                               # older than this call
            continue
        code = library.seccomp_rule_add_array(
            filter, ctypes.c_uint32(0x00050000 | answer), call, int(argument is not None),
            argument and ctypes.byref(argument))
        if code:
            raise OSError(-code, f"seccomp cannot refuse {name}")
    if code := library.seccomp_load(filter):
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
        print(short(error), end="", file=out)
        return False
    finally:
        out.flush()


def short(error):
    """The last lines of an error's traceback that are the program's, and the error."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__)
              if frame.filename == NAME]
    return "".join(traceback.format_list(frames[-FRAMES:]) + traceback.format_exception_only(error))


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
    threading.excepthook = lambda failed: print(short(failed.exc_value), end="", flush=True)
    good = execute(code)
    try:
        for image in figures():
            channel.sendall(len(image).to_bytes(4, "little") + image)
    except BaseException as error:
        print(f"the figure cannot be drawn: {type(error).__name__}: {error}", flush=True)
        good = False
    sys.exit(not good)                               # after its threads and what it left to the end


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
