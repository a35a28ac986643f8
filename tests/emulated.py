"""The C library of another kind of machine: an emulator runs its functions, within emulated.c, and
Python stays what it is. So what is built for aarch64 takes the same tests on x86-64.

CHAT_EMULATOR is the emulator's command, emulated.c's program included; conftest.py then puts
Emulated in Library's place. What a pointer leads to goes there and back at each call, with the
whole memory that a NumPy view lies in: kernel_calls.py's guard bands are where functions hit them.
"""

import os
import shlex
import subprocess
from functools import partial
from types import SimpleNamespace

import numpy as np

from csrc.bind import CSRC, ChatError, Library

CALL = np.dtype([("name", "S32"), ("result", "i8"), ("sizes", "i8", 16), ("words", "i8", (16, 2)),
                 ("floats", "f4", 4)])
RESULT = np.dtype([("word", "i8"), ("real", "f8"), ("text", "S512")])


class Emulated(Library):
    own = None                                   # while this machine's library is being loaded

    def __init__(self, path, device, dtype):
        mine = CSRC.parent / "build" / path.name         # for the types
        super().__init__(mine if path.exists() else path, device, dtype)
        self.own, self.lib = self.lib, SimpleNamespace(
            **{name: partial(self.call, name) for name in dir(self.lib)})
        self.process = subprocess.Popen([*shlex.split(os.environ["CHAT_EMULATOR"]), path],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def place(self, argument, kind):
        """(address, bytes, offset): the memory to send, and where in it. Numbers are from NULL."""
        if isinstance(argument, np.ndarray):
            self.pointer(argument, kind)         # checks its type
            whole = argument if argument.base is None else argument.base
            return whole.ctypes.data, whole.nbytes, argument.ctypes.data - whole.ctypes.data
        number = int(self.ffi.cast("long", 0 if argument is None else argument))
        item = kind.item if kind.kind == "pointer" else kind
        if number and (item.kind == "pointer" or item.kind == "struct" and item.fields):
            return number, self.ffi.sizeof(item), 0
        return 0, 0, number                      # perhaps the address of a model, which lives there

    def call(self, name, *args):
        if self.own is None:
            return super().call(name, *args)
        function = self.ffi.typeof(getattr(self.own, name))
        returns, given = function.result, list(zip(args, function.args, strict=True))
        words = [self.place(a, kind) for a, kind in given if kind.cname != "float"]
        floats = [a for a, kind in given if kind.cname == "float"]
        memories = {0: 0} | {address: size for address, size, _ in words}
        call = np.zeros((), CALL)
        call["name"], call["result"] = name, {"double": 1, "char *": 2}.get(returns.cname, 0)
        call["sizes"][:len(memories)] = list(memories.values())
        call["floats"][:len(floats)] = floats
        for i, (address, _, offset) in enumerate(words):
            call["words"][i] = list(memories).index(address), offset

        buffers = [self.ffi.buffer(self.ffi.cast("char *", address), size)
                   for address, size in memories.items() if size]
        self.process.stdin.writelines([call.tobytes(), *buffers])
        self.process.stdin.flush()
        answer = self.process.stdout.read(RESULT.itemsize)
        assert answer, f"{name} ended the emulator"
        for buffer in buffers:
            self.process.stdout.readinto(buffer)

        word, real, text = np.frombuffer(answer, RESULT)[0].tolist()
        if returns.cname == "void":
            return None
        if returns.cname == "double":
            return real
        if returns.cname == "char *":
            return self.ffi.new("char[]", text)
        result = self.ffi.cast(returns, word)
        if returns.kind == "pointer":
            return result
        if int(result) < 0:
            raise ChatError(self.ffi.string(self.call("chat_error")).decode())
        return int(result)
