"""What rounding costs: mean KL divergence from the unquantized model, of our two quantizers and of
llama.cpp's, at the same types. llama.cpp reads all files.

    python tests/bench_kl.py FOLDER TEXT [--types q4_0 q4_k_m] [--windows 40]

FOLDER is a model (full precision). Beside it, in FOLDER.kl/, are the files; those that are there
are used again. It needs llama-cpp-python.
"""

import argparse
import ctypes
import sys
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import llama_cpp  # noqa: E402  (the path above is needed for those below)
import numpy as np  # noqa: E402

import infer  # noqa: E402
from csrc.gguf_write import MIXES  # noqa: E402
from data.exams.divergence import compare, figures, windows  # noqa: E402
from data.tokens.bpe import Tokenizer  # noqa: E402

QUIET = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *_: None)


class Theirs:
    """A file, as llama.cpp reads it; for `compare`."""

    def __init__(self, path, length):
        self.model = llama_cpp.Llama(str(path), n_ctx=length, n_batch=length, logits_all=True,
                                     verbose=False)

    def logits(self, ids):
        self.model.reset()
        self.model.eval(ids[0])
        return self.model.scores[None, :len(ids[0])].copy()


def quantized_by_llama_cpp(source, path, type):
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = MIXES[type].number
    if llama_cpp.llama_model_quantize(str(source).encode(), str(path).encode(), params):
        raise RuntimeError(f"llama.cpp cannot make {path}")


def made(folder, type, how):
    """The path of a file, which is made if it is not there."""
    path = folder.with_suffix(".kl") / f"{type}-{how}.gguf"
    path.parent.mkdir(exist_ok=True)
    if path.exists():
        return path
    if how == "llama.cpp":
        quantized_by_llama_cpp(made(folder, "f32", "nearest"), path, type)
    else:
        infer.quantize(infer.Quantize(path, str(folder), type, how))
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("--types", nargs="+", default=["q8_0", "q6_k", "q4_k_m", "q4_k", "q4_0"])
    parser.add_argument("--hows", nargs="+", default=["llama.cpp", "nearest", "gptq"])
    parser.add_argument("--windows", type=int, default=40)
    parser.add_argument("--length", type=int, default=256)
    given = parser.parse_args()
    llama_cpp.llama_log_set(QUIET, None)
    tokenizer = Tokenizer.load(given.folder)
    texts = [*islice(windows(tokenizer, given.text, given.length), given.windows)]
    reference = Theirs(made(given.folder, "f32", "nearest"), given.length)
    print("| type | by | MB | KL divergence, nats | same top token | perplexity, before |")
    for type in given.types:
        for how in given.hows:
            path = made(given.folder, type, how)
            model = Theirs(path, given.length)
            found = figures(np.concatenate([compare(model, reference, ids) for ids in texts], 1))
            kl, same, ours, its = found.values()
            print(f"| {type} | {how} | {path.stat().st_size / 1e6:.1f} | {kl['value']:.5f} +- "
                  f"{kl['value'] - kl['low']:.5f} | {same['value']:.3f} | {ours['value']:.2f}, "
                  f"{its['value']:.2f} |", flush=True)


if __name__ == "__main__":
    main()
