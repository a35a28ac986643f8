"""csrc/gguf.py: files that are right, and all the ways in which one can be wrong."""

import os
import struct
from dataclasses import replace

import numpy as np
import pytest

from csrc import gguf
from csrc.bind import GENERATES, ChatError, Library, Model
from csrc.config import Config, rope_rows
from folders import CONFIGS, SIZES, llama3, random_model, same_weights
from gguf_files import entry, floats, gguf as packed, metadata, string, tensors_of

CORE = Library.load()
ONE = {"a": floats(np.arange(6).reshape(2, 3)), "b": floats([1, 2, 3])}


def written(path, data):
    path.write_bytes(data)
    return path


# ---- Files that are right ------------------------------------------------------------------------

def test_values_and_tensors_come_back(tmp_path):
    values = {"s": "é", "n": np.uint64(2**63), "i": np.int8(-1), "f": np.float32(0.5),
              "yes": np.bool_(True), "list": ["", "a", "中"], "array": np.arange(5, dtype=np.int16),
              "none": []}
    file = gguf.File(written(tmp_path / "m.gguf", packed(values, ONE)))
    array = file.values.pop("array")
    assert array.tolist() == values.pop("array").tolist() and file.values == values
    assert {name: t.floats(CORE).tolist() for name, t in file.tensors.items()} == \
        {"a": [[0, 1, 2], [3, 4, 5]], "b": [1, 2, 3]}


@pytest.mark.parametrize("alignment", [1, 8, 64, 4096])
def test_data_are_aligned_as_the_file_says(tmp_path, alignment):
    values = {"general.alignment": np.uint32(alignment)}
    file = gguf.File(written(tmp_path / "m.gguf", packed(values, ONE, alignment)))
    assert file.tensors["b"].floats(CORE).tolist() == [1, 2, 3]


def test_an_empty_file_of_version_2_is_one(tmp_path):
    file = gguf.File(written(tmp_path / "m", packed({}, {}, header=struct.pack(
        "<4sIQQ", b"GGUF", 2, 0, 0))))
    assert (file.values, file.tensors) == ({}, {})


# ---- Files that are wrong ------------------------------------------------------------------------

def header(magic=b"GGUF", version=3, tensors=0, values=0):
    return struct.pack("<4sIQQ", magic, version, tensors, values)


def pair(key, kind, data=b""):
    return string(key) + struct.pack("<I", kind) + data


def array(kind, count, data=b""):
    return pair("k", 9, struct.pack("<IQ", kind, count) + data)


U64 = 2**64 - 1
U32 = struct.pack("<I", 1)
WRONG = {
    "no magic": (header(b"FUGG"), "is no GGUF file: it begins with b'FUGG'"),
    "pickle": (b"\x80\x02}q\0." + bytes(40), "is no GGUF file"),
    "nothing": (b"", "is empty"),
    "3 bytes": (b"GGU", "is no GGUF file"),
    "cut header": (header()[:20], "is cut: it ends after 20 bytes, inside of the header"),
    "version 0": (header(version=0), "its version is 0, but must be 2 or 3"),
    "version 1": (header(version=1), "its version is 1,"),
    "version 4": (header(version=4), "its version is 4,"),
    "big-endian": (header(version=3 << 24), r"is 50331648 \(in the other byte order\)"),
    "2^64 tensors": (header(tensors=U64), f"there are {U64} tensors, more than 24 bytes can hold"),
    "2^63 tensors": (header(tensors=2**63) + bytes(99), f"there are {2**63} tensors"),
    "2^64 values": (header(values=U64), f"there are {U64} values"),
    "a value too many": (packed([pair("k", 4, U32)], {}, header=header(values=2)),
                         "the key of value 2 of 2 has 0 bytes"),
    "key of 2^64 bytes": (packed([struct.pack("<QI", U64, 4) + U32 * 9], {}),
                          f"the key of value 1 of 1 has {U64} bytes"),
    "key over 65535": (packed([pair("k" * 65536, 4, U32)], {}), "has 65536 bytes, but must have"),
    "empty key": (packed([pair("", 4, U32)], {}), "the key of value 1 of 1 has 0 bytes"),
    "key that is no text": (packed([pair(b"\xff\xfe", 4, U32)], {}), "is not UTF-8"),
    "unknown type": (packed([pair("k", 13, U32)], {}), "k is of the unknown type 13"),
    "two equal keys": (packed([pair("k", 4, U32)] * 2, {}), "the key 'k' occurs twice"),
    "string longer than the file": (packed([pair("k", 8, struct.pack("<Q", 9999))], {}),
                                    "is cut: it ends after 64 bytes, inside of k"),
    "string of 2^64 bytes": (packed([pair("k", 8, struct.pack("<Q", U64))], {}), "inside of k"),
    "string that is no text": (packed([pair("k", 8, string(b"\xc3("))], {}), "k: .* is not UTF-8"),
    "array of 2^64": (packed([array(4, U64)], {}), f"there are {U64} numbers in k"),
    "array of 2^62": (packed([array(12, 2**62)], {}), f"there are {2**62} numbers in k"),
    "2^64 strings": (packed([array(8, U64)], {}), f"there are {U64} strings in k"),
    "strings that end too late": (packed([array(8, 2, string("a") + struct.pack("<Q", 999))], {}),
                                  "inside of k"),
    "array in an array": (packed([array(9, 1, struct.pack("<IQ", 4, 0))], {}),
                          "k is an array of the type 9"),
    "array of the unknown": (packed([array(13, 1, U32)], {}), "k is an array of the type 13"),
    "alignment 0": (packed({"general.alignment": np.uint32(0)}, ONE),
                    "alignment is 0 of the type 4, but"),
    "alignment 13": (packed({"general.alignment": np.uint32(13)}, ONE), "must be a power of two"),
    "alignment of a type": (packed({"general.alignment": np.int32(32)}, ONE),
                            "32 of the type 5, but"),
    "alignment in words": (packed({"general.alignment": "32"}, ONE),
                           "alignment is '32' of the type 8"),
    "another alignment": (packed({"general.alignment": np.uint32(64)}, ONE, 32),
                          "b is at byte 32 of the data, but must follow the one before it at 64"),
    "long name": (packed({}, {"x" * 64: floats([1])}), "has 64 bytes, but must have from 1 to 63"),
    "no name": (packed({}, {"": floats([1])}), "the name in the entry of tensor 1 of 1 has 0"),
    "two of a name": (packed({}, ONE, entries=[entry("a", (8,)), entry("a", (8,), offset=32)]),
                      "there are two tensors a"),
    "no dimension": (packed({}, ONE, entries=[entry("a", ())]), "a has 0 dimensions"),
    "5 dimensions": (packed({}, ONE, entries=[entry("a", (1,) * 5)]), "a has 5 dimensions"),
    "2^32 dimensions": (packed({}, {}, header=header(tensors=1), entries=[
        string("a") + struct.pack("<I", 2**32 - 1)] * 3), "a has 4294967295 dimensions"),
    "a dimension of 0": (packed({}, ONE, entries=[entry("a", (2, 0))]), r"a is \(2, 0\): no file"),
    "a negative dimension": (packed({}, ONE, entries=[entry("a", (U64,))]), "no file has room"),
    "2^64 numbers": (packed({}, ONE, entries=[entry("a", (2**32, 2**32))]), "no file has room"),
    "2^63 bytes": (packed({}, ONE, entries=[entry("a", (2**61 + 1,))]), "no file has room"),
    "sum over 2^64": (packed({}, ONE, entries=[
        entry("a", (2**62,), 24), entry("b", (2**62,), 24, 2**62)]), "is cut: .* but a after"),
    "unknown type of a tensor": (packed({}, ONE, entries=[entry("a", (4,), 99)]),
                                 "a is of the unknown type 99"),
    "a type that was removed": (packed({}, ONE, entries=[entry("a", (32,), 4)]), "unknown type 4"),
    "half a block": (packed({}, ONE, entries=[entry("a", (2, 33), 2)]),
                     "a has 33 columns, but must have a multiple of 32, a block of Q4_0"),
    "offset misaligned": (packed({}, ONE, entries=[entry("a", (2,), offset=4)]),
                          "a is at byte 4 of the data, but must follow the one before it at 0"),
    "offset out of the file": (packed({}, ONE, entries=[entry("a", (2,), offset=2**40)]),
                               "a is at byte 1099511627776"),
    "two in one place": (packed({}, ONE, entries=[entry("a", (2,)), entry("b", (2,))]),
                         "b is at byte 0 of the data, but must follow the one before it at 32"),
    "a hole": (packed({}, ONE, entries=[entry("a", (2,)), entry("b", (2,), offset=64)]),
               "b is at byte 64 of the data, but must follow the one before it at 32"),
    "cut data": (packed({}, ONE)[:-32 + 11], "is cut: it ends after .* bytes, but b after"),
    "no data": (packed({}, {}, header=header(tensors=1), entries=[entry("a", (1024,))]),
                "but a after"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_malformed_file_is_refused_in_a_sentence(tmp_path, case):
    data, message = WRONG[case]
    path = written(tmp_path / "m.gguf", data)
    with pytest.raises(ChatError, match=message) as caught:
        gguf.File(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


def small():
    """A file with a bit of everything."""
    return packed({"general.architecture": "llama", "t": ["a", "bc"], "n": np.arange(3),
                   "f": np.float32(1)}, ONE)


def test_a_file_cut_anywhere_is_refused(tmp_path):
    data = small()
    for size in range(len(data) - 20):           # what is last are zeros that nobody misses
        with pytest.raises(ChatError):
            gguf.File(written(tmp_path / f"{size}.gguf", data[:size]))


def test_a_file_with_any_byte_flipped_is_refused_or_read_without_harm(tmp_path):
    data, refused = small(), 0
    for i in range(len(data)):
        path = written(tmp_path / f"{i}.gguf", data[:i] + bytes([data[i] ^ 0xff]) + data[i + 1:])
        try:
            for tensor in gguf.File(path).tensors.values():
                tensor.floats(CORE)
        except ChatError:
            refused += 1
    assert refused > len(data) // 3


def test_a_file_that_changes_while_it_is_in_use_is_said_to(tmp_path):
    path = written(tmp_path / "m.gguf", packed({}, ONE))
    file = gguf.File(path)
    file.mapping.check()
    os.truncate(path, 10)
    with pytest.raises(ChatError, match="was changed while it was in use"):
        file.mapping.check()
    with pytest.raises(ChatError, match="is cut"):
        gguf.File(path)


def test_a_model_whose_file_changes_says_so_and_does_not_end_the_process(tmp_path):
    model = random_model(MODELS["qwen3"])
    data = packed(metadata(model.config, "qwen3"), tensors_of(model, "qwen3"))
    path = written(tmp_path / "m.gguf", data)
    mapped = Model.load(path, flags=GENERATES)
    mapped.logits([[1, 2, 3]])
    os.truncate(path, 100)
    with pytest.raises(ChatError, match="m.gguf: was changed while it was in use: load it again"):
        mapped.logits([[1, 2, 3]])


# ---- Models --------------------------------------------------------------------------------------

MODELS = {
    "gpt2": CONFIGS["GPT2LMHeadModel"], "llama": CONFIGS["LlamaForCausalLM with biases"],
    "llama of Mistral's": CONFIGS["MistralForCausalLM"], "qwen2": CONFIGS["Qwen2ForCausalLM"],
    "qwen3": CONFIGS["Qwen3ForCausalLM untied"],
    "qwen3 with yarn": CONFIGS["Qwen3ForCausalLM with yarn"],
    "llama of Mixtral's": CONFIGS["MixtralForCausalLM"],
    "qwen3moe": replace(CONFIGS["Qwen3MoeForCausalLM"], expert_period=1, expert_norm=1, tied=0),
    "gemma": CONFIGS["GemmaForCausalLM"], "gemma2": CONFIGS["Gemma2ForCausalLM"],
    "gemma3": replace(CONFIGS["Gemma3ForCausalLM"], layers=6, window_period=6,
                      rope_local_theta=1e4),
    "phi3": replace(CONFIGS["MistralForCausalLM"], norm_eps=1e-5),
    "olmo": CONFIGS["OlmoForCausalLM"], "olmo2": CONFIGS["Olmo2ForCausalLM"],
    "gptneox": CONFIGS["GPTNeoXForCausalLM"], "falcon": CONFIGS["FalconForCausalLM"],
    "falcon with two norms": CONFIGS["FalconForCausalLM with two norms"],
}


@pytest.mark.parametrize("architecture", MODELS)
def test_a_model_comes_back_bit_by_bit(tmp_path, architecture):
    model, architecture = random_model(MODELS[architecture]), architecture.split()[0]
    path = written(tmp_path / "m.gguf", packed(metadata(model.config, architecture),
                                               tensors_of(model, architecture)))
    again = Model.load(path)
    assert again.config == model.config and same_weights(model, again)
    assert Model.load(path, context=7).config.context == 7
    mapped, tokens = Model.load(path, flags=GENERATES), np.arange(24).reshape(2, 12)
    np.testing.assert_allclose(mapped.logits(tokens), model.logits(tokens), rtol=1e-4, atol=1e-4)
    again.save(tmp_path / "folder")
    assert Model.load(tmp_path / "folder").config == model.config


def test_llama_3_s_scaling_is_read_from_its_divisors(tmp_path):
    config = Config(**SIZES | {"head_dim": 32}, qk_norm=0, **llama3(8192))
    model = random_model(config)
    frequencies = config.rope_theta ** (-np.arange(16) / 16)
    divisors = frequencies / rope_rows(config)[0, 1:]
    assert divisors[0] == 1 and divisors[-1] == 8
    tensors = {**tensors_of(model, "llama"), "rope_freqs.weight": floats(divisors)}
    path = written(tmp_path / "m.gguf", packed(metadata(config), tensors))
    assert Model.load(path).config == config
    divisors[5] += 0.01
    tensors["rope_freqs.weight"] = floats(divisors)
    with pytest.raises(ChatError, match="rope_freqs.weight is not Llama 3's scaling"):
        Model.load(written(path, packed(metadata(config), tensors)))


def test_longrope_s_factors_are_read(tmp_path):
    scaling = {"rope_type": "longrope", "factor": 4.0, "original_max_position_embeddings": 10,
               "short_factor": (1.0, 1.5, 2.0), "long_factor": (2.0, 3.0, 4.0)}
    config = replace(MODELS["phi3"], rope_scaling=tuple(scaling.items()))
    values = metadata(config, "phi3") | {"phi3.rope.scaling.original_context_length": np.uint32(10)}
    tensors = tensors_of(random_model(config), "phi3")
    for key in ("short", "long"):
        tensors[f"rope_factors_{key}.weight"] = floats(scaling[f"{key}_factor"])
    assert Model.load(written(tmp_path / "m.gguf", packed(values, tensors))).config == config


def spoilt(change):
    """The file of a small model, after change(values, tensors)."""
    model = random_model(MODELS["qwen3"])
    values = metadata(model.config, "qwen3", map(str, range(61)))
    tensors = tensors_of(model, "qwen3")
    change(values, tensors)
    return packed(values, tensors)


UNFIT = {
    "general.architecture is 'rwkv', but must be one of gpt2, llama,":
        lambda v, t: v.update({"general.architecture": "rwkv"}),
    "general.architecture is None": lambda v, t: v.pop("general.architecture"),
    "there is no token_embd.weight": lambda v, t: t.pop("token_embd.weight"),
    "the vocabulary has 62 tokens, but token_embd.weight only 61 rows":
        lambda v, t: v["tokenizer.ggml.tokens"].append("x"),
    "num_hidden_layers is missing": lambda v, t: v.pop("qwen3.block_count"),
    "attention.head_count is 0, but must be": lambda v, t: v.update(
        {"qwen3.attention.head_count": np.uint32(0)}),
    "num_hidden_layers is 'two'": lambda v, t: v.update({"qwen3.block_count": "two"}),
    "there is no blk.1.ffn_up.weight": lambda v, t: t.pop("blk.1.ffn_up.weight"),
    r"blk.0.ffn_up.weight is \(20, 15\), but the metadata make \(20, 16\) of it":
        lambda v, t: t.update({"blk.0.ffn_up.weight": floats(np.zeros((20, 15)))}),
    r"blk.0.ffn_up.weight is \(21, 16\), but the metadata describe a model with 20 rows":
        lambda v, t: t.update({"blk.0.ffn_up.weight": floats(np.zeros((21, 16)))}),
    r"blk.0.attn_sinks.weight is \(4,\), but the metadata describe a model without it":
        lambda v, t: t.update({"blk.0.attn_sinks.weight": floats(np.zeros(4))}),
    "rope_type is 'magic'; supported is only default, linear": lambda v, t: v.update(
        {"qwen3.rope.scaling.type": "magic"}),
    "rope.dimension_count is 4; supported is only 6": lambda v, t: v.update(
        {"qwen3.rope.dimension_count": np.uint32(4)}),
    "qwen3.expert_count is 8; supported are experts only of llama and qwen3moe":
        lambda v, t: v.update({"qwen3.expert_count": np.uint32(8)}),
}


def numbered(tensors):
    """Experts each by itself, as files of early 2024 have them."""
    found = {}
    for name, (kind, shape, content) in tensors.items():
        if "_exps" in name:
            for e, values in enumerate(np.frombuffer(content, np.float32).reshape(shape)):
                found[name.replace("_exps", f".{e}")] = floats(values)
        else:
            found[name] = kind, shape, content
    return found


def joined(tensors):
    """Gate and up of each expert in one."""
    found = {name: tensor for name, tensor in tensors.items() if "_exps" not in name}
    for layer in 0, 1:
        gate, up = (np.frombuffer(content, np.float32).reshape(shape) for _, shape, content in (
            tensors[f"blk.{layer}.ffn_{part}_exps.weight"] for part in ("gate", "up")))
        found[f"blk.{layer}.ffn_gate_up_exps.weight"] = floats(np.concatenate([gate, up], axis=1))
        found[f"blk.{layer}.ffn_down_exps.weight"] = tensors[f"blk.{layer}.ffn_down_exps.weight"]
    return found


@pytest.mark.parametrize("change", [numbered, joined])
def test_experts_may_be_each_by_itself_or_have_gate_and_up_in_one(tmp_path, change):
    model = random_model(MODELS["qwen3moe"])
    tensors = change(tensors_of(model, "qwen3moe"))
    path = written(tmp_path / "m.gguf", packed(metadata(model.config, "qwen3moe"), tensors))
    assert same_weights(model, Model.load(path))


UNFIT_EXPERTS = {
    r"blk.1.ffn_up_exps.weight is \(4, 12, 15\), but the metadata make \(4, 12, 16\) of it":
        lambda v, t: t.update({"blk.1.ffn_up_exps.weight": floats(np.zeros((4, 12, 15)))}),
    r"blk.0.ffn_gate_exps.weight is \(2, 24, 16\), but the metadata make \(4, 12, 16\) of it":
        lambda v, t: t.update({"blk.0.ffn_gate_exps.weight": floats(np.zeros((2, 24, 16)))}),
    "there is no blk.0.ffn_down_exps.weight": lambda v, t: t.pop("blk.0.ffn_down_exps.weight"),
    "there is no blk.1.ffn_gate_inp.weight": lambda v, t: t.pop("blk.1.ffn_gate_inp.weight"),
    r"blk.0.ffn_up_shexp.weight is \(12, 16\), but the metadata describe a model without it":
        lambda v, t: t.update({"blk.0.ffn_up_shexp.weight": floats(np.zeros((12, 16)))}),
    "experts_used is 5, but must be from 1 to 4":
        lambda v, t: v.update({"qwen3moe.expert_used_count": np.uint32(5)}),
    "num_experts is 0, but must be": lambda v, t: v.update(
        {"qwen3moe.expert_count": np.uint32(0)}),
    "n_shared_experts is 1; supported is only 0": lambda v, t: v.update(
        {"qwen3moe.expert_shared_count": np.uint32(1)}),
    "routed_scaling_factor is 2.5; supported is only 1.0": lambda v, t: v.update(
        {"qwen3moe.expert_weights_scale": np.float32(2.5)}),
}


@pytest.mark.parametrize("message", UNFIT_EXPERTS)
def test_experts_that_do_not_fit_their_metadata_are_refused(tmp_path, message):
    model = random_model(MODELS["qwen3moe"])
    values, tensors = metadata(model.config, "qwen3moe"), tensors_of(model, "qwen3moe")
    UNFIT_EXPERTS[message](values, tensors)
    with pytest.raises(ChatError, match=message):
        Model.load(written(tmp_path / "m.gguf", packed(values, tensors)))


@pytest.mark.parametrize("message", UNFIT)
def test_a_model_that_does_not_fit_its_metadata_is_refused(tmp_path, message):
    path = written(tmp_path / "m.gguf", spoilt(UNFIT[message]))
    with pytest.raises(ChatError, match=message) as caught:
        Model.load(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_model_larger_than_the_memory_is_refused_before_it_is_read(tmp_path):
    values = metadata(replace(MODELS["qwen3"], layers=1000, hidden=2**24), "qwen3")
    tensors = {"token_embd.weight": floats(np.zeros((61, 16)))}
    with pytest.raises(ChatError, match="m.gguf: this model needs .* GB of memory, and the"):
        Model.load(written(tmp_path / "m.gguf", packed(values, tensors)))


# ---- Weights in blocks ---------------------------------------------------------------------------

def test_each_type_has_the_size_that_the_package_gguf_gives_it():
    theirs = pytest.importorskip("gguf")
    sizes = {kind.name: size for kind, size in theirs.GGML_QUANT_SIZES.items()}
    numbers = {kind.name: kind.value for kind in theirs.GGMLQuantizationType}
    for number, (name, *size) in gguf.KINDS.items():
        assert numbers[name] == number and sizes[name] == tuple(size)
