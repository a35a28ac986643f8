"""The C library in Python: loads it, checks arrays at the border, makes exceptions of status codes.

    model = Model.create(Config(vocab=4096, context=256, layers=4, channels=256), dtype="f32")
    nll = model.forward(tokens, targets)             # (B,T) nats
    model.backward(np.full((B, T), 1 / (B * T)))     # gradients of the mean

csrc/chat.h is the declaration of everything here, and its manual.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from functools import lru_cache
from pathlib import Path

import cffi
import numpy as np

from csrc import adapter, gguf, hf, ranks
from csrc.config import Config, rope_rows
from csrc.files import ChatError

CSRC = Path(__file__).resolve().parent
GENERATES, TRAINS, NO_MASTERS, RECOMPUTE, RECOMPUTE_BLOCKS, SHARD, MAPPED, MUON = \
    0, 1, 2, 4, 8, 16, 32, 64
WHAT = {"weight": 0, "gradient": 1, "moment1": 2, "moment2": 3}
SAMPLING = np.dtype([("temperature", np.float32), ("top_k", np.int32), ("top_p", np.float32),
                     ("min_p", np.float32), ("repetition_penalty", np.float32),
                     ("seed", np.uint64), ("position", np.uint64), ("banned", np.int32),
                     ("n_banned", np.int32), ("biased", np.int32), ("n_biased", np.int32),
                     ("seen", np.int32), ("n_seen", np.int32)], align=True)
REAL = {"f32": ("float", np.float32), "bf16": ("uint16_t", np.uint16)}


def build() -> Path:
    """The folder of the libraries."""
    return Path(os.environ.get("CHAT_BUILD", CSRC.parent / "build"))


class Library:
    """One build of the C library; `load` keeps one of each."""

    def __init__(self, path: Path, device: str = "cpu", dtype: str = "f32",
                 headers: tuple[str, ...] = ("chat.h", "kernels.h")):
        """Load the library at `path`, which defines what `headers` declare."""
        real, self.real_type = REAL[dtype]
        self.device, self.dtype = device, dtype
        if not path.exists():
            made = "make cuda" if device == "cuda" else "make"
            raise ChatError(f"there is no {path.name} in {path.parent}: run `{made}` (it says what "
                            f"this machine cannot build, and why)")
        self.ffi = cffi.FFI()
        self.ffi.cdef(f"typedef {real} real;" + "".join(
            (CSRC / header).read_text() for header in headers))
        self.lib = self.ffi.dlopen(str(path))
        self.types = {"float": np.float32, "int": np.int32, "double": np.float64,
                      "void": None, "real": self.real_type, "uint8_t": np.uint8,
                      "uint16_t": np.uint16, "uint32_t": np.uint32, "uint64_t": np.uint64,
                      "unsigned long long": np.uint64, "Sampling": SAMPLING}
        if not hasattr(self.lib, "cpu_ready"):
            raise ChatError(f"{path} is older than csrc/{headers[0]}: run "
                            f"`{'make cuda' if device == 'cuda' else 'make'}` again")
        Library.call(self, "cpu_ready")
        if device == "cuda":                     # each rank on a machine has its own GPU
            Library.call(self, "device_choose", ranks.place().local)

    @staticmethod
    def load(device: str = "cpu", dtype: str = "f32") -> "Library":
        """The library for a device ("cpu", "cuda") and a dtype ("f32", "bf16")."""
        return Library._load(device, dtype)

    @staticmethod
    @lru_cache(maxsize=None)
    def _load(device: str, dtype: str) -> "Library":
        if dtype not in REAL:
            raise ChatError(f"dtype {dtype!r} is not one of {', '.join(REAL)}")
        return Library(build() / f"libchat_{device}_{dtype}.so", device, dtype)

    @staticmethod
    @lru_cache(maxsize=None)
    def text() -> "Library":
        """The library that handles text; csrc/text.h is its manual."""
        return Library(build() / "libchat_text.so", headers=("text.h",))

    @staticmethod
    def choose(device: str = "auto", dtype: str = "auto") -> tuple[str, str]:
        """The first (device, dtype) that loads: the GPU before the CPU, bf16 before f32."""
        for d in ("cuda", "cpu") if device == "auto" else (device,):
            for t in ("bf16", "f32") if dtype == "auto" else (dtype,):
                try:
                    Library.load(d, t).call("device_ready")
                    return d, t
                except (ChatError, OSError) as error:
                    reason = error
        raise reason

    def pointer(self, array, kind):
        """A C pointer to a NumPy array whose dtype the declaration `kind` asks for."""
        if array is None:
            return self.ffi.NULL
        want = self.types[kind.item.cname.removeprefix("const ")]
        if not isinstance(array, np.ndarray) or want not in (None, array.dtype) \
                or not array.flags.c_contiguous:
            name = "" if want is None else f"{np.dtype(want).name} "
            raise TypeError(f"expected a contiguous {name}array, got "
                            f"{getattr(array, 'dtype', type(array).__name__)}")
        return self.ffi.cast(kind, array.ctypes.data)

    def call(self, name: str, *args):
        """Call a declared function. An entry point's non-zero status becomes a ChatError."""
        function = getattr(self.lib, name)
        kinds = self.ffi.typeof(function).args
        if len(args) != len(kinds):
            raise TypeError(f"{name} takes {len(kinds)} arguments, got {len(args)}")
        if any(isinstance(a, self.ffi.CData) and a == self.ffi.NULL for a in args):
            raise ChatError(f"{name} was called on something that was freed")
        result = function(*(self.pointer(a, k) if a is None or isinstance(a, np.ndarray) else a
                            for a, k in zip(args, kinds)))
        if isinstance(result, int) and result < 0:
            raise ChatError(self.ffi.string(self.lib.chat_error()).decode())
        return result

    def config(self, config: Config):
        """The Config of chat.h."""
        fields = {name: getattr(config, name) for name, _ in self.ffi.typeof("Config").fields}
        try:
            return self.ffi.new("Config *", fields)
        except (TypeError, OverflowError) as error:
            raise ChatError(f"the configuration does not fit: {error}") from None

    def memory(self, config: Config, flags: int, N: int = 0, slots: int = 0,
               length: int = 0) -> dict[str, float]:
        """Bytes that such a model takes, by purpose: see model_memory in chat.h."""
        out = self.ffi.new("Memory *")
        self.call("model_memory", out, self.config(config), flags, N, slots, length)
        return {name: getattr(out, name) for name, _ in self.ffi.typeof("Memory").fields}

    def dequantize(self, type: int, blocks: np.ndarray, shape) -> np.ndarray:
        """float32 numbers of this shape from bytes in GGUF's blocks, on the CPU; type: its number
        there."""
        out, row = np.empty(shape, np.float32), self.call("quant_row", type, shape[-1])
        rows = out.size // shape[-1]
        if not row or row * rows != blocks.nbytes:
            raise ChatError(f"{blocks.nbytes} bytes are not {tuple(shape)} numbers of type {type}")
        self.call("dequantize", out, blocks.reshape(-1).view(np.uint8), type, out.size)
        return out

    def quantize(self, type: int, values: np.ndarray, weight: np.ndarray | None = None,
                 factor: np.ndarray | None = None) -> np.ndarray:
        """The inverse, by rows: uint8 (rows, bytes of a row); weight, factor: see kernels.h."""
        rows, cols = values.shape
        out = np.empty((rows, self.call("quant_row", type, cols)), np.uint8)
        self.call("quantize_rows", out, values, weight, factor, type, rows, cols)
        return out


class Job:
    """The processes that train one model together: see "Ranks" in chat.h. One that was started
    alone is rank 0 of 1. What follows is called on all ranks, in the same order."""

    def __init__(self, core: Library):
        self.core, self.meeting, here = core, None, ranks.place()
        said, word = [here.rank, here.ranks, here.local, here.locals, 0], None
        job = core.ffi.new("Job *", said)
        by_mpi = here.launcher == "mpirun" and core.call("mpi_built")
        if here.ranks > 1 and core.device == "cpu" and here.launcher == "torchrun":
            raise ChatError(f"torchrun started {here.ranks} ranks, but on CPUs they talk through "
                            f"MPI: start them with mpirun or srun")
        if here.ranks > 1 and core.device == "cuda" and not by_mpi:
            word = np.zeros(core.lib.COMM_ID, np.uint8)
            if here.rank == 0:
                core.call("comm_id", word)
            self.meeting = ranks.Meeting(here, word.tobytes())
            word = np.frombuffer(self.meeting.word, np.uint8)
        core.call("comm_start", job, word)
        self.rank, self.ranks = job.rank, job.ranks
        self.local, self.locals, self.cores = job.local, job.locals, job.cores

    def sum(self, *values: float) -> list[float]:
        """Of each value its sum over the ranks, to the same bits on all; of none: wait for all."""
        array = np.array(values, np.float64)
        self.core.call("comm_sum", array, array.size)
        return array.tolist()

    def fill(self, array: np.ndarray) -> None:
        """Make of a contiguous array what it is on rank 0."""
        self.core.call("comm_broadcast", array.reshape(-1).view(np.uint8), array.nbytes, 0)

    def share(self, value=None):
        """Rank 0's value, as JSON keeps it."""
        if self.ranks == 1:
            return value
        text = np.frombuffer(json.dumps(value).encode(), np.uint8).copy()
        size = np.array([text.size], np.int64)
        self.fill(size)
        if self.rank:
            text = np.empty(size[0], np.uint8)
        self.fill(text)
        return json.loads(text.tobytes())

    def abort(self, sentence: str) -> None:
        """Print it and end all ranks at once."""
        print(sentence, file=sys.stderr, flush=True)
        self.core.lib.comm_abort()

    def stop(self) -> None:
        """Leave the job; all ranks come here."""
        if self.meeting:
            self.meeting.leave()
        self.core.call("comm_stop")


def ints(values, shape=None) -> np.ndarray:
    """Token ids as the library wants them; anything that is not a whole number is refused."""
    array = np.asarray(values)
    if array.size and array.dtype.kind not in "iu":
        raise TypeError(f"token ids must be integers, got {array.dtype}")
    if array.size and (array.min() < -2**31 or array.max() >= 2**31):
        raise ValueError(f"token ids must fit 32 bits, got {array.min()} to {array.max()}")
    if shape is not None and array.shape != shape:
        raise ValueError(f"expected shape {shape}, got {array.shape}")
    return np.ascontiguousarray(array, np.int32)


def batch(tokens) -> np.ndarray:
    """Tokens (B,T) as an array of int32."""
    tokens = ints(tokens)
    if tokens.ndim != 2:
        raise ValueError(f"tokens must be (B,T), got shape {tokens.shape}")
    return tokens


def reader(place):
    """The module that reads a Hugging Face folder, or a gguf.File."""
    return gguf if isinstance(place, gguf.File) else hf


class Model:
    """A transformer. Shapes: B rows of T tokens, V logits. core: the Library that computes it.

    A call waits until other threads' calls of the same model have ended. Two calls that belong
    together (forward and backward, extend and draw) are one thread's `with model.lock`."""

    def __init__(self, config: Config, device: str = "cpu", dtype: str = "f32",
                 flags: int = TRAINS):
        """All weights zero: see `create` and `load`. flags: a sum of TRAINS,
        RECOMPUTE and so on; 0 is a model that only generates, in a fraction of the memory."""
        self.config, self.device, self.dtype, self.flags = config, device, dtype, flags
        self.mapping = bool(flags & MAPPED)
        self.mapped: dict[str, np.ndarray] = {}  # of tensors that lie in a file their bytes there,
        self.check_file = None                   # and what raises a ChatError if that was changed
        self.family = None                       # of the folder that it was loaded from,
        self.base = None                         # and what that is called
        self.added: dict[str, list] = {}         # {tensor: functions that give what is added to it
                                                 # when it is written first}: adapters are merged
        self.before_read = None                  # with SHARD: tells the other ranks to read it too
        self.core, self.lock = Library.load(device, dtype), threading.RLock()
        ffi = self.core.ffi
        self.handle = ffi.NULL
        out = ffi.new("Model **")
        self.core.call("model_create", out, self.core.config(config), rope_rows(config), flags)
        self.handle = out[0]
        self.list_tensors()
        self.index = {name: i for i, (name, _, _) in enumerate(self.tensors)}

    def list_tensors(self) -> None:
        """Ask for the tensors, and which of them it does not learn, or learns by Muon."""
        info = self.core.ffi.new("TensorInfo *")
        self.tensors: list[tuple[str, tuple[int, ...], bool]] = []
        self.frozen: set[str] = set()
        self.by_muon: set[str] = set()
        for i in range(self.call("model_tensors")):
            self.call("model_tensor", i, info)
            shape = (info.rows, info.cols) if info.cols else (info.rows,)
            self.tensors.append((self.core.ffi.string(info.name).decode(), shape, bool(info.decay)))
            self.frozen |= {self.tensors[-1][0]} if info.frozen else set()
            self.by_muon |= {self.tensors[-1][0]} if info.muon else set()

    @staticmethod
    def create(config: Config, device: str = "cpu", dtype: str = "f32", seed: int = 0,
               flags: int = TRAINS) -> "Model":
        """Random weights: norms 1, biases 0, matrices normal with deviation 1/sqrt(inputs), but 0
        those that write to the residual stream: every block begins as the identity, which a short
        run profits from most (arXiv:2203.03466, D.2). A tied head would thus begin by repeating
        the token that is read, at a loss that grows as sqrt(C); so the last norm's weights are 1
        and -1 in turn: then no embedding has more to do with itself than with any other, and the
        loss begins near ln V at any width."""
        model = Model(config, device, dtype, flags)
        rng = np.random.default_rng(seed)
        for name, shape, matrix in model.tensors:
            if matrix and not name.endswith(("o_proj.weight", "down_proj.weight")):
                value = rng.standard_normal(shape, np.float32)
                model.write(name, value * np.float32(shape[1] ** -0.5))
            elif not matrix and not name.endswith(".bias"):
                model.write(name, np.ones(shape))
        if config.tied and not config.scalar and "model.norm.weight" in model.index:
            model.write("model.norm.weight", 1.0 - 2.0 * (np.arange(config.channels) % 2))
        return model

    @staticmethod
    def configuration(folder, **changes):
        """(family, Config, the same with `changes`) of what `load` takes."""
        place, adapters = adapter.beneath(folder)
        return reader(place).configuration(place, **{**adapter.changes_of(adapters), **changes})

    @staticmethod
    def load(folder, device: str = "cpu", dtype: str = "f32", flags: int = TRAINS,
             room=None, **changes) -> "Model":
        """A Hugging Face folder, as hf.load reads it, or a GGUF file, as gguf.load does, or PEFT's
        folder of an adapter, which is merged with its base; `changes` replace fields of its Config.
        ChatError, before any weight is read, if the memory is too small; room: is called before,
        with the bytes that the model needs and those that the device has."""
        core = Library.load(device, dtype)       # what is wrong with it is not the folder's fault
        place, adapters = adapter.beneath(folder)
        source = reader(place)
        mapped = source is gguf and flags == GENERATES and not adapters

        def make(config, size=0):
            need = sum(core.memory(config, MAPPED if mapped else flags).values()) + size * mapped
            if need > (have := core.call("device_memory")):
                raise ChatError(f"this model needs {need / 1e9:.1f} GB of memory, and the machine "
                                f"has {have / 1e9:.1f} GB")
            if room:
                room(need, have)
            model = Model(config, device, dtype, MAPPED if mapped else flags)
            model.need = need
            for one in adapters:
                adapter.merge(one, model, source.configuration(place)[0])
            return model
        model = source.load(place, make, **{**adapter.changes_of(adapters), **changes})
        model.base = str(getattr(folder, "path", folder))
        return model

    def save(self, folder, special: dict | None = None, stage: str | None = None) -> None:
        """Write a Hugging Face folder, as hf.save does, or PEFT's where there are adapters."""
        (adapter if self.config.lora else hf).save(self, folder, special, stage)

    def call(self, name: str, *args):
        """Call a function of chat.h that takes this model first."""
        with self.lock:
            if self.check_file:
                self.check_file()
            return self.core.call(name, self.handle, *args)

    def free(self) -> None:
        """Give its memory back now; its caches can no longer be used."""
        with self.lock:
            self.core.lib.model_free(self.handle)
            self.handle = self.core.ffi.NULL

    def __del__(self):
        if getattr(self, "handle", None):
            self.free()

    # ---- tensors ----

    def read(self, name: str, what: str = "weight") -> np.ndarray:
        """A copy of a tensor as float32; what: weight (the master), gradient, moment1, moment2."""
        if self.before_read and self.flags & SHARD:
            self.before_read(name, what)
        out = np.empty(self.tensors[self.index[name]][1], np.float32)
        self.call("model_read", WHAT[what], self.index[name], out)
        return out

    def write(self, name: str, values, what: str = "weight") -> None:
        """The inverse of `read`."""
        shape = self.tensors[self.index[name]][1]
        values = np.ascontiguousarray(values, np.float32)
        if values.shape != shape:
            raise ValueError(f"{name} has shape {shape}, got {values.shape}")
        for change in self.added.pop(name, ()) if what == "weight" else ():
            values = values + change()
        self.call("model_write", WHAT[what], self.index[name], values)

    def map(self, name: str, type: int, blocks: np.ndarray, pairs: int = 0) -> None:
        """Say where a tensor lies: model_map. blocks: its bytes in a file, as np.memmap gives them;
        type: GGUF's number of its type; pairs: the head size, where GGUF has rows in pairs."""
        blocks = blocks.reshape(-1).view(np.uint8)
        self.call("model_map", self.index[name], type, blocks, blocks.nbytes, pairs)
        self.mapped[name] = blocks               # stays mapped as long as the model is there

    def freeze(self, name: str) -> None:
        """Give a tensor no gradient, nor those of its product (q, k, v; gate, up): model_freeze."""
        self.call("model_freeze", self.index[name])
        self.list_tensors()

    def weights(self) -> dict[str, np.ndarray]:
        """A copy of every tensor."""
        return {name: self.read(name) for name, _, _ in self.tensors}

    @property
    def parameters(self) -> int:
        """How many numbers the model has."""
        return sum(int(np.prod(shape)) for _, shape, _ in self.tensors)

    @property
    def learned(self) -> int:
        """How many of them it learns."""
        return sum(int(np.prod(shape)) for name, shape, _ in self.tensors
                   if name not in self.frozen)

    @property
    def active(self) -> int:
        """How many of them compute a token: all but those of experts that it did not choose."""
        return round(sum(np.prod(shape) * self.used(name) for name, shape, _ in self.tensors))

    def used(self, name: str) -> float:
        """The part of tokens that a tensor is multiplied with."""
        c = self.config
        return c.experts_used / c.experts if ".experts." in name else 1.0

    # ---- training ----

    def forward(self, tokens, targets=None, doc_start=None, weights=None) -> np.ndarray:
        """(B,T) nll of each target in nats, or values with a scalar head. weights (B,T): dLoss/dnll
        where it is known already: the head's gradients are added here, then call backward() without
        any, and zero_grad() not in between."""
        tokens = batch(tokens)
        out = np.empty(tokens.shape, np.float32)
        targets = None if targets is None else ints(targets, tokens.shape)
        doc_start = None if doc_start is None else ints(doc_start, tokens.shape)
        self.shape = tokens.shape
        self.call("model_forward", out, tokens, targets, doc_start, self._coefficients(weights),
                  *tokens.shape)
        return out

    def _coefficients(self, weights) -> np.ndarray | None:
        if weights is None:
            return None
        weights = np.ascontiguousarray(weights, np.float32)
        if weights.shape != self.shape:
            raise ValueError(f"weights must have the batch's shape {self.shape}, "
                             f"got {weights.shape}")
        return weights

    def backward(self, weights=None, reduce: bool = True) -> None:
        """Add to the gradients; weights (B,T) = dLoss/d(what forward returned). reduce: then sum
        them over the ranks of the job; False for all passes of a step but the last."""
        self.call("model_backward", self._coefficients(weights), reduce)

    def reserve(self, N: int) -> None:
        """Take all the memory that training on N tokens at a time needs, now."""
        self.call("model_reserve", N)

    def zero_grad(self) -> None:
        self.call("model_zero_grad")

    def grad_norm(self) -> float:
        """The Euclidean norm of all gradients together."""
        norm = np.empty(1, np.float32)
        self.call("model_grad_norm", norm)
        return float(norm[0])

    def update(self, step: int, lr: float, beta1: float = 0.9, beta2: float = 0.95,
               eps: float = 1e-8, weight_decay: float = 0.1, grad_scale: float = 1.0,
               momentum: float = 0.95) -> None:
        """One step of AdamW, with MUON of Muon for the matrices of blocks; step counts from 1."""
        adam = self.core.ffi.new("AdamW *", dict(
            step=step, lr=lr, beta1=beta1, beta2=beta2, eps=eps, weight_decay=weight_decay,
            grad_scale=grad_scale, momentum=momentum))
        self.call("model_update", adam)

    # ---- inference ----

    def logits(self, tokens) -> np.ndarray:
        """(B,T,V), or (B,T,1) with a scalar head."""
        tokens = batch(tokens)
        out = np.empty((*tokens.shape, 1 if self.config.scalar else self.config.vocab), np.float32)
        self.call("model_logits", out, tokens, *tokens.shape)
        return out

    def block(self, layer: int, x: np.ndarray, inputs: bool = False) -> dict | None:
        """x (B,T,C) becomes what one layer makes of it; with `inputs`: what its products are given,
        {names of matrices in the layer: (B*T,cols)}. See model_block."""
        c, N = self.config, x.shape[0] * x.shape[1]
        widths = {"self_attn.q self_attn.k self_attn.v": c.channels,
                  "self_attn.o": c.heads * c.head_dim, "mlp.gate mlp.up": c.channels}
        if f"model.layers.{layer}.mlp.down_proj.weight" in self.index:
            widths["mlp.down"] = c.hidden
        flat = np.empty(N * sum(widths.values()), np.float32) if inputs else None
        self.call("model_block", layer, x, flat, *x.shape[:2])
        ends = N * np.cumsum([*widths.values()])
        return inputs and {tuple(f"{name}_proj.weight" for name in names.split()):
                           part.reshape(N, -1) for names, part in zip(widths, np.split(flat, ends))}

    def cache(self, slots: int, length: int = 0) -> "Cache":
        """Room for the keys and values of `slots` sequences of up to `length` tokens each."""
        return Cache(self, slots, length)

    def extend(self, cache: "Cache", slots, tokens, every: bool = False,
               read: bool = True) -> np.ndarray | None:
        """Append tokens[i], a list, to slot slots[i]; (len(slots),V) logits after the last of each,
        or (all tokens,V) after every one. Without `read` they stay on the device, for `draw`."""
        if len(slots) != len(tokens):
            raise ValueError(f"{len(slots)} slots, but tokens for {len(tokens)}")
        counts = ints([len(t) for t in tokens])
        flat = ints([x for t in tokens for x in t])
        self.rows = len(flat) if every else len(slots)
        size = self.rows, 1 if self.config.scalar else self.config.vocab
        out = np.empty(size, np.float32) if read else None
        self.call("model_extend", cache.handle, out, ints(slots), flat, counts, len(slots), every)
        return out

    def draw(self, rows, ids=(), logprobs: bool = False, probabilities: bool = False,
             biases: np.ndarray | None = None):
        """One token from each row of logits that `extend` left on the device: (tokens, their
        log-probabilities or None, what each was drawn from (rows,V) or None).

        rows   (rows) of SAMPLING, as `samplings` makes them
        ids    the tokens that their fields banned, biased and seen point into
        biases float32, one for each of ids: what is added to the logits of those biased
        """
        if len(rows) != self.rows:
            raise ValueError(f"settings for {len(rows)} rows, but {self.rows} rows of logits")
        tokens, ids = np.empty(self.rows, np.int32), ints(np.asarray(ids, np.int64))
        logs = np.empty(self.rows, np.float32) if logprobs else None
        drawn_from = np.empty((self.rows, self.config.vocab), np.float32) if probabilities else None
        self.call("model_sample", tokens, logs, drawn_from, rows, ids, biases, len(ids))
        return tokens.tolist(), logs, drawn_from

    def last_logits(self) -> np.ndarray:
        """(rows,V): the logits that `extend` left on the device, before `draw`."""
        out = np.empty((self.rows, self.config.vocab), np.float32)
        self.call("model_last_logits", out, self.rows)
        return out

    def last_states(self, n: int) -> np.ndarray:
        """(n,C): what the head is given of the first n of the tokens that `extend` just read."""
        out = np.empty((n, self.config.channels), np.float32)
        self.call("model_last_states", out, n)
        return out


class Cache:
    """Keys and values of `slots` sequences of up to `length` tokens each; 0: see `resize`."""

    def __init__(self, model: Model, slots: int, length: int = 0):
        self.model, self.handle = model, model.core.ffi.NULL
        out = model.core.ffi.new("Cache **")
        with model.lock:
            model.core.call("cache_create", out, model.handle, slots, length)
        self.handle = out[0]

    def call(self, name: str, *args):
        """Call a function of chat.h that takes this cache first."""
        with self.model.lock:
            return self.model.core.call(name, self.handle, *args)

    def resize(self, slot: int, length: int) -> None:
        """Give a slot room for `length` tokens; it keeps those that it holds."""
        self.call("cache_resize", slot, length)

    @property
    def memory(self) -> float:
        """Bytes of the keys and values that there is memory for."""
        return self.model.core.call("cache_memory", self.handle)

    def fork(self, to: int, from_: int, count: int) -> None:
        """Slot `to` becomes the first `count` tokens of slot `from_`; to == from_ cuts it back."""
        self.call("cache_fork", to, from_, count)

    def size(self, count: int) -> int:
        """Bytes of the keys and values of `count` tokens."""
        return self.model.core.call("cache_size", self.handle, count)

    def read(self, slot: int, start: int, count: int) -> np.ndarray:
        """The keys and values of `count` tokens of a slot, from number `start` on: bytes."""
        out = np.empty(self.size(count), np.uint8)
        self.call("cache_export", out, slot, start, count)
        return out

    def write(self, slot: int, data: np.ndarray, count: int) -> None:
        """Append what `read` gave, of a model of the same weights, to what a slot holds."""
        if data.nbytes != self.size(count):
            raise ValueError(f"{data.nbytes} bytes, but {count} tokens have {self.size(count)}")
        self.call("cache_import", data, slot, count)

    def __del__(self):
        if getattr(self, "handle", None):
            with self.model.lock:
                self.model.core.lib.cache_free(self.handle)


def samplings(n: int, temperature=1.0, top_k=0, top_p=1.0, min_p=0.0, repetition_penalty=1.0,
              seed=0, **more) -> np.ndarray:
    """(n) of chat.h's Sampling, for `Model.draw`; each value is one for all rows or (n)."""
    rows = np.zeros(n, SAMPLING)
    values = dict(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p,
                  repetition_penalty=repetition_penalty, seed=seed, **more)
    for name, value in values.items():
        rows[name] = value
    return rows
