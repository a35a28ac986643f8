"""The library in Library's place while tests run: its kernels take NumPy arrays on every device.

For a GPU, what a pointer leads to goes there and back at each call, with the whole memory that a
NumPy view lies in: kernel_calls.py's guard bands are where kernels hit them.

"cuda" is the GPU's code on the CPU (cuda_on_cpu.h) unless CHAT_DEVICE=cuda asks for the real one.
"""

import os
from functools import lru_cache
from pathlib import Path

import numpy as np

from csrc.bind import CSRC, Library

DEVICES = [os.environ["CHAT_DEVICE"]] if "CHAT_DEVICE" in os.environ else ["cpu", "cuda"]
HOST = ("device_", "model_", "cache_create", "cache_free", "cache_fork", "cache_export",
        "cache_import", "check_", "chat_", "comm_", "mpi_")


class OnDevice(Library):
    @staticmethod
    @lru_cache(maxsize=None)
    def _load(device: str, dtype: str) -> Library:
        shim = Path(os.environ.get("CHAT_BUILD", CSRC.parent / "build")) / "shim"
        path = shim / f"libchat_cuda_{dtype}.so"
        if device == "cuda" and "CHAT_DEVICE" not in os.environ and path.exists():
            return OnDevice(path, device, dtype)
        return Library._load(device, dtype)

    @staticmethod
    def choose(device: str = "auto", dtype: str = "auto") -> tuple[str, str]:
        return Library.choose(DEVICES[0] if device == "auto" else device, dtype)

    def call(self, name, *args):
        if self.device == "cpu" or name.startswith(HOST):
            return super().call(name, *args)
        kinds = self.ffi.typeof(getattr(self.lib, name)).args
        held, passed = {}, []
        for argument, kind in zip(args, kinds, strict=True):
            if isinstance(argument, np.ndarray):
                self.pointer(argument, kind)     # checks its type
                whole = argument if argument.base is None else argument.base
                start = whole.ctypes.data
                if start not in held:
                    held[start] = whole, super().call("device_alloc", whole.nbytes)
                    super().call("device_write", held[start][1], self.bytes(whole), whole.nbytes)
                offset = argument.ctypes.data - start
                argument = self.ffi.cast(kind, self.address(held[start][1]) + offset)
            passed.append(argument)
        result = super().call(name, *passed)
        for whole, memory in held.values():
            super().call("device_read", self.bytes(whole), memory, whole.nbytes)
            super().call("device_free", memory)
        return result

    def bytes(self, array):
        return self.ffi.cast("void *", array.ctypes.data)

    def address(self, pointer):
        return int(self.ffi.cast("uintptr_t", pointer))
