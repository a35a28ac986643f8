"""A model as a Hugging Face folder: round trips, and files that are damaged or hostile.

Whether transformers reads the same model out of it is for test_transformers.py.
"""

import json
import os
import resource
import struct
import weakref
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from csrc import families, hf
from csrc.bind import ChatError, Library, Model
from csrc.config import BIAS_ALL, BIAS_NONE, GELU, LAYERNORM, LEARNED, Config
from folders import CONFIGS, GPT2, edit, library_or_skip, random_model, same_weights
from kernel_calls import rounded

TINY = Config(vocab=5, context=4, layers=1, channels=2, heads=1, kv_heads=1, head_dim=2, hidden=2)


def edit_tensors(folder, change):
    """Replace the dictionary of tensors by change(of it)."""
    save_file(change(load_file(folder / "model.safetensors")), folder / "model.safetensors")


@pytest.fixture
def folder(tmp_path):
    """The Qwen3 model of CONFIGS, saved."""
    hf.save(random_model(CONFIGS["Qwen3ForCausalLM"]), tmp_path)
    return tmp_path


@pytest.fixture
def gpt2(tmp_path):
    hf.save(random_model(CONFIGS["GPT2LMHeadModel"]), tmp_path / "gpt2")
    return tmp_path / "gpt2"


# ---- Round trips ---------------------------------------------------------------------------------

@pytest.mark.parametrize("name", CONFIGS)
def test_a_saved_model_loads_with_the_same_bits(name, tmp_path):
    model = random_model(CONFIGS[name])
    hf.save(model, tmp_path / "new" / "folder")
    again = Model.load(tmp_path / "new" / "folder")
    assert again.config == model.config
    assert same_weights(again, model)
    config = json.loads((tmp_path / "new" / "folder" / "config.json").read_text())
    assert config["architectures"] == name.split()[:1]


@pytest.mark.parametrize("name", ["GPT2LMHeadModel", "Qwen3ForCausalLM"])
def test_a_bf16_model_is_saved_as_what_it_computes_with(name, tmp_path):
    library_or_skip("bf16")
    model = random_model(CONFIGS[name], "bf16")
    hf.save(model, tmp_path)
    library, again = Library.load("cpu", "bf16"), Model.load(tmp_path, dtype="f32")
    for name in model.index:
        assert np.array_equal(again.read(name), rounded(library, model.read(name)))
    tokens = np.arange(40).reshape(1, 40)
    assert np.array_equal(Model.load(tmp_path, dtype="bf16").logits(tokens), model.logits(tokens))
    assert (tmp_path / "model.safetensors").stat().st_size < 2 * model.parameters + 8000


def test_bfloat16_rounds_to_nearest_even_and_keeps_infinities_and_nan():
    bits = np.array([0x3F800000, 0x3F808000, 0x3F818000, 0x3F808001, 0x7F7FFFFF, 0x7F800000,
                     0xFF800000, 0x7FFFFFFF, 0x7F800001, 0x80000000, 0x00008001], np.uint32)
    halves = hf.bfloat16(bits.view(np.float32))
    assert [hex(x) for x in halves] == ["0x3f80", "0x3f80", "0x3f82", "0x3f81", "0x7f80", "0x7f80",
                                        "0xff80", "0x7fff", "0x7fc0", "0x8000", "0x1"]


def test_bfloat16_and_float16_files_are_read(folder):
    model = Model.load(folder)
    edit_tensors(folder, lambda t: {k: v.astype(np.float16) for k, v in t.items()})
    half = Model.load(folder)
    for name in model.index:
        assert np.array_equal(half.read(name), model.read(name).astype(np.float16))


def test_what_other_programs_ask_of_the_files(folder):
    ids = {"bos": 0, "eos": 7, "pad": 0, "stop": [7, 0]}
    hf.save(Model.load(folder), folder, ids)
    config = json.loads((folder / "config.json").read_text())
    assert config["torch_dtype"] == config["dtype"] == "float32"
    assert config["rope_theta"] == config["rope_parameters"]["rope_theta"] == 1e6
    assert config["rope_parameters"]["rope_type"] == "default"
    assert (config["head_dim"], config["num_key_value_heads"]) == (6, 2)
    assert (config["vocab_size"], config["eos_token_id"], config["pad_token_id"]) == (61, 7, 0)
    generation = json.loads((folder / "generation_config.json").read_text())
    assert generation == {"bos_token_id": 0, "eos_token_id": [7, 0], "pad_token_id": 0}
    tensors = load_file(folder / "model.safetensors")
    assert "lm_head.weight" not in tensors
    assert tensors["model.embed_tokens.weight"].shape == (61, 16)
    header = (folder / "model.safetensors").read_bytes()
    size = int.from_bytes(header[:8], "little")
    assert size % 8 == 0 and json.loads(header[8:8 + size])["__metadata__"]["format"] == "pt"


@pytest.mark.parametrize("special", [{"eos": 61}, {"stop": [-1]}, {"end": 1}])
def test_special_tokens_outside_the_vocabulary_are_refused(folder, special):
    with pytest.raises(ChatError, match="special token"):
        hf.save(Model.load(folder), folder, special)


@pytest.mark.parametrize("changes", [
    dict(norm=LAYERNORM), dict(position=LEARNED), dict(bias=BIAS_ALL), dict(activation=GELU),
    dict(GPT2, head_dim=6), dict(GPT2, kv_heads=2, head_dim=4), dict(GPT2, bias=BIAS_NONE)])
def test_a_model_that_transformers_has_no_name_for_is_not_saved(changes, tmp_path):
    with pytest.raises(ChatError, match="cannot be saved"):
        hf.save(Model(replace(CONFIGS["Qwen3ForCausalLM"], **changes)), tmp_path)
    assert not list(tmp_path.iterdir())


# ---- Changes on the way --------------------------------------------------------------------------

@pytest.mark.parametrize("name", ["GPT2LMHeadModel", "LlamaForCausalLM", "Qwen3ForCausalLM"])
def test_a_reward_model_begins_as_a_language_model_with_a_head_of_zeros(name, tmp_path):
    model = random_model(CONFIGS[name])
    hf.save(model, tmp_path)
    reward = Model.load(tmp_path, scalar=1)
    assert not reward.read("score.weight").any()
    assert all(np.array_equal(reward.read(name), model.read(name))
               for name in model.index if name != "lm_head.weight")
    reward.write("score.weight", np.ones((1, 16)))
    hf.save(reward, tmp_path)
    assert Model.load(tmp_path).read("score.weight").all()


def test_learned_positions_can_be_shortened_and_not_extended(gpt2):
    model, short = Model.load(gpt2), Model.load(gpt2, context=9)
    assert np.array_equal(short.read("model.positions.weight"),
                          model.read("model.positions.weight")[:9])
    tokens = np.arange(9)[None]
    assert np.array_equal(short.logits(tokens), model.logits(tokens))
    with pytest.raises(ChatError, match="40 learned positions"):
        Model.load(gpt2, context=41)


def test_rope_takes_any_context(folder):
    assert Model.load(folder, context=400).logits(np.zeros((1, 400), int)).shape == (1, 400, 61)


# ---- Tensors: present, absent, of other shapes ---------------------------------------------------

def test_names_without_prefix_and_old_buffers_are_understood(gpt2):
    model = Model.load(gpt2)

    def old(tensors):
        tensors = {name.removeprefix("transformer."): t for name, t in tensors.items()}
        for layer in range(2):
            tensors[f"h.{layer}.attn.bias"] = np.ones((1, 1, 40, 40), np.uint8)
            tensors[f"h.{layer}.attn.masked_bias"] = np.array(-1e4, np.float32)
        return {**tensors, "lm_head.weight": tensors["wte.weight"]}

    edit_tensors(gpt2, old)
    assert same_weights(Model.load(gpt2), model)


def test_rotary_buffers_are_ignored(folder):
    model = Model.load(folder)
    edit_tensors(folder, lambda t: {**t, "model.layers.0.self_attn.rotary_emb.inv_freq":
                                    np.ones(3, np.float32)})
    assert same_weights(Model.load(folder), model)


@pytest.mark.parametrize("change, message", [
    (lambda t: {k: v for k, v in t.items() if k != "model.norm.weight"},
     r"no model.norm.weight, which config.json makes \(16,\)"),
    (lambda t: {**t, "model.extra": np.ones((3, 4), np.float32)}, r"without model.extra \(3, 4\)"),
    (lambda t: {**t, "model.norm.weight": np.ones(17, np.float32)},
     r"model.norm.weight is \(17,\), but config.json makes it \(16,\)"),
    (lambda t: {**t, "model.norm.weight": np.ones((16, 1), np.float32)}, r"is \(16, 1\)"),
    (lambda t: {**t, "model.norm.weight": np.ones(16)}, "model.norm.weight is F64"),
    (lambda t: {**t, "model.norm.weight": np.ones(16, np.int8)}, "model.norm.weight is I8"),
    (lambda t: {**t, "norm.weight": t["model.norm.weight"]}, "there twice"),
    (lambda t: {**t, "lm_head.weight": np.ones((2, 2), np.float32)}, r"lm_head.weight is \(2, 2\)"),
    (lambda t: {**t, "lm_head.weight": t["model.embed_tokens.weight"].astype(int)}, "I64"),
    (lambda t: {**t, "score.weight": np.ones((1, 16), np.float32)}, "without score.weight"),
])
def test_tensors_that_do_not_fit_are_named(folder, change, message):
    edit_tensors(folder, change)
    with pytest.raises(ChatError, match=message):
        Model.load(folder)


def test_a_tied_head_that_is_there_all_the_same_is_one_only_if_it_is_equal(folder, capsys):
    """transformers 5 uses both where they differ, and says so."""
    model = Model.load(folder)
    edit_tensors(folder, lambda t: {**t, "lm_head.weight": t["model.embed_tokens.weight"]})
    assert same_weights(Model.load(folder), model) and capsys.readouterr().err == ""
    edit_tensors(folder, lambda t: {**t, "lm_head.weight": t["model.embed_tokens.weight"] + 1})
    again = Model.load(folder)
    assert again.config == replace(model.config, tied=0)
    assert np.array_equal(again.read("lm_head.weight"), model.read("model.embed_tokens.weight") + 1)
    assert "the head is not the embeddings, though config.json ties them" in capsys.readouterr().err
    again.save(folder)
    assert same_weights(Model.load(folder), again) and capsys.readouterr().err == ""


# ---- config.json ---------------------------------------------------------------------------------

@pytest.mark.parametrize("changes, message", [
    (dict(model_type="phi"), "model_type is 'phi'"), (dict(model_type=["qwen3"]), "model_type"),
    (dict(architectures=["PhiForCausalLM"], model_type=...), "PhiForCausalLM"),
    (dict(architectures=..., model_type=...), "architectures is None"),
    (dict(architectures=...), None), (dict(architectures=None), None),
    (dict(architectures=["QWen3ForCausalLM"]), None), (dict(model_type=...), None),
    (dict(architectures=[[]]), "architectures"),
    (dict(architectures={}), "architectures"), (dict(architectures=[1, 2]), "architectures"),
    (dict(vocab_size="61"), "vocab_size is '61'"), (dict(vocab_size=2**31), "vocab_size"),
    (dict(vocab_size=10**400), "vocab_size"), (dict(vocab_size=True), "vocab_size"),
    (dict(vocab_size=61.0), "vocab_size"), (dict(vocab_size=[61]), "vocab_size"),
    (dict(vocab_size=None), "vocab_size is missing"), (dict(vocab_size=...), "vocab_size is"),
    (dict(vocab_size=2**31 - 1), "vocab"), (dict(vocab_size=62), "embed_tokens"),
    (dict(num_hidden_layers=10**9), "layers is 1000000000"), (dict(num_hidden_layers=0), "layers"),
    (dict(num_hidden_layers=3), "model.layers.2"), (dict(num_hidden_layers=1), "model.layers.1"),
    (dict(num_attention_heads=0), "heads"), (dict(num_attention_heads=-4), "heads"),
    (dict(num_key_value_heads=8), "kv_heads"), (dict(num_key_value_heads=3), "kv_heads"),
    (dict(head_dim=5), "head_dim"), (dict(head_dim=None), "q_proj"),
    (dict(head_dim=...), r"config.json makes it \(512, 16\)"),
    (dict(num_key_value_heads=...), "kv_heads is 32"),
    (dict(hidden_size=2**31 - 1), "channels"),
    (dict(intermediate_size=2**24, hidden_size=2**20, num_hidden_layers=10000), "memory"),
    (dict(max_position_embeddings="long"), "max_position_embeddings"),
    (dict(rms_norm_eps=float("nan")), "rms_norm_eps"), (dict(rms_norm_eps="1e-6"), "rms_norm_eps"),
    (dict(rms_norm_eps=10**400), "rms_norm_eps"), (dict(rms_norm_eps=0), "norm_eps"),
    (dict(tie_word_embeddings=1), "tie_word_embeddings"),
    (dict(tie_word_embeddings=False), "lm_head.weight"),
    (dict(hidden_act="gelu"), "hidden_act is 'gelu'"), (dict(hidden_act=["silu"]), "hidden_act"),
    (dict(attention_bias=True), "q_proj.bias"),
    (dict(use_sliding_window=1), "use_sliding_window"),
    (dict(use_sliding_window=True, sliding_window=0), "sliding_window is 0"),
    (dict(use_sliding_window=True, sliding_window=4, max_window_layers=1), "max_window_layers is"),
    (dict(layer_types=["full_attention", "sliding_attention"]), "layer_types"),
    (dict(layer_types=["full_attention", "sliding_attention"], use_sliding_window=True,
          sliding_window=4), "layer_types"),
    (dict(layer_types=["sliding_attention", "full_attention"], use_sliding_window=True,
          sliding_window=4), None),
    (dict(use_sliding_window=True, sliding_window=4, max_window_layers=0), None),
    (dict(layer_types=7), "layer_types"),
    (dict(attn_logit_softcapping=50.0), "attn_logit_softcapping is 50"),
    (dict(final_logit_softcapping=30.0), "final_logit_softcapping"),
    (dict(quantization_config={"quant_method": "gptq"}), "quantization_config"),
    (dict(partial_rotary_factor=0.5), "partial_rotary_factor"),
    (dict(rope_theta=10000.0), "rope_theta is 1000000.0 in one place"),
    (dict(rope_parameters=[]), None), (dict(rope_parameters=[1]), "rope_parameters"),
    (dict(rope_parameters=..., rope_theta="1e6"), "rope_theta"),
    (dict(rope_parameters=..., rope_theta=float("inf")), "rope_theta"),
    (dict(rope_parameters=..., rope_theta=0.5), "rope_theta"),
    (dict(rope_scaling={"type": "linear", "factor": 2.0}, rope_parameters=...), None),
    (dict(rope_scaling={"type": "linear", "factor": 0}, rope_parameters=...), "factor is 0"),
    (dict(rope_scaling={"rope_type": "yarn", "factor": 2.0}, rope_parameters=...), None),
    (dict(rope_scaling={"rope_type": "yarn", "factor": "2"}, rope_parameters=...), "factor is '2'"),
    (dict(rope_scaling={"rope_type": "mrope"}, rope_parameters=...), "rope_type is 'mrope'"),
    (dict(rope_scaling={"rope_type": "longrope", "factor": 2.0, "long_factor": [1.0],
                        "short_factor": [1.0]}, rope_parameters=...), "1 factors for 3"),
    (dict(rope_scaling={"rope_type": "longrope", "factor": 2.0}, rope_parameters=...),
     "short_factor is None"),
    (dict(rope_scaling={"rope_type": "llama3"}), "rope_type"),
    (dict(rope_scaling={"rope_type": "llama3"}, rope_parameters=...), "factor is missing"),
    (dict(rope_scaling={"rope_type": []}, rope_parameters=...), "rope_type"),
    (dict(rope_parameters={"full_attention": {"rope_theta": 1.0}}), "full_attention"),
    (dict(rope_scaling={"type": "default", "mrope_section": [1, 2]}), "mrope_section"),
    (dict(auto_map={"AutoModelForCausalLM": "evil.Model"}), None),
    (dict(sliding_window=4096, use_sliding_window=False), None),
    (dict(layer_types=["full_attention"] * 2), None),
    (dict(rope_theta=..., rope_scaling=None), None), (dict(rope_parameters=...), None),
])
def test_a_config_is_expressed_or_refused_by_the_name_of_its_key(folder, changes, message):
    edit(folder, **changes)
    if message is None:
        assert Model.load(folder).config.rope_theta == 1e6
    else:
        with pytest.raises(ChatError, match=message):
            Model.load(folder)


@pytest.mark.parametrize("changes, message", [
    (dict(activation_function="gelu"), "activation_function is 'gelu'"),
    (dict(activation_function="gelu_pytorch_tanh"), None), (dict(n_inner=None), "c_fc"),
    (dict(scale_attn_by_inverse_layer_idx=True), "scale_attn_by_inverse_layer_idx"),
    (dict(scale_attn_weights=False), "scale_attn_weights"),
    (dict(add_cross_attention=True), "add_cross_attention"),
    (dict(reorder_and_upcast_attn=True), None), (dict(tie_word_embeddings=...), None),
    (dict(layer_norm_epsilon=...), None), (dict(n_positions=41), "wpe.weight"),
    (dict(n_head=3), "c_attn|head_dim"), (dict(sliding_window=8), "sliding_window"),
])
def test_a_gpt2_config_is_expressed_or_refused(gpt2, changes, message):
    edit(gpt2, **changes)
    if message is None:
        Model.load(gpt2)
    else:
        with pytest.raises(ChatError, match=message):
            Model.load(gpt2)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"7", b"\xff\xfe{", b"{" * 10, b'"x"',
                                  b'{"a": 1, "a": 2}', b'{"a": ' + b"[" * 100000,
                                  b'{"vocab_size": 1' + b"0" * 5000 + b"}"])
def test_a_config_that_is_no_object_of_json_is_refused(folder, text):
    (folder / "config.json").write_bytes(text)
    with pytest.raises(ChatError, match="config.json"):
        Model.load(folder)


def test_what_is_missing_is_named(folder, tmp_path):
    (folder / "model.safetensors").unlink()
    with pytest.raises(ChatError, match="model.safetensors: there is no such file"):
        Model.load(folder)
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(ChatError, match="pickle.*save_pretrained"):
        Model.load(folder)
    (folder / "config.json").unlink()
    with pytest.raises(ChatError, match="config.json: No such file"):
        Model.load(folder)
    with pytest.raises(ChatError, match="nowhere"):
        Model.load(tmp_path / "nowhere")


# ---- Hostile weights -----------------------------------------------------------------------------

def safetensors(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def about(begin=0, end=8, shape=(2,), dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


ONE = json.dumps(about()).encode()
HOSTILE = {
    "empty": b"", "seven bytes": b"1234567", "length 0": safetensors(b""),
    "length 1": safetensors(b"{", b"}"), "length over file": safetensors({}, length=1000),
    "length 2^63": safetensors({}, length=2**63),
    "length 2^64-1": safetensors({}, length=2**64 - 1),
    "overlap": safetensors({"a": about(), "b": about(4, 12)}, bytes(12)),
    "hole": safetensors({"a": about(), "b": about(12, 20)}, bytes(20)),
    "past the end": safetensors({"a": about()}, bytes(4)),
    "begin after end": safetensors({"a": about(8, 0)}, bytes(8)),
    "overflow": safetensors({"a": about(shape=(2**32, 2**32, 4))}, bytes(8)),
    "overflow to 8 bytes": safetensors({"a": about(shape=(2**62 + 2,))}, bytes(8)),
    "negative": safetensors({"a": about(shape=(-2,))}, bytes(8)),
    "float": safetensors({"a": about(shape=(2.0,))}, bytes(8)),
    "huge": safetensors({"a": about(shape=(10**30,))}, bytes(8)),
    "dtype": safetensors({"a": about(dtype="F64x")}, bytes(8)),
    "no dtype": safetensors({"a": {"shape": [2], "data_offsets": [0, 8]}}, bytes(8)),
    "name twice": safetensors(b'{"a":%b,"a":%b}' % (ONE, ONE), bytes(8)),
    "key twice": safetensors(b'{"a":%b}' % ONE.replace(b"{", b'{"shape":[2],'), bytes(8)),
    "trailing zip": safetensors({"a": about()}, bytes(8) + b"PK\3\4"),
    "leading comment": b"#!/bin/sh\n" + safetensors({"a": about()}, bytes(8)),
    "not UTF-8": safetensors(b'{"\xff\xfe":%b}' % ONE, bytes(8)),
    "half a pair": safetensors(b'{"\\ud800":%b}' % ONE, bytes(8)),
    "nested objects": safetensors(b'{"a":' * 100000 + b"1" + b"}" * 100000),
    "nested lists": safetensors(b'{"a":' + b"[" * 100000 + b"]" * 100000 + b"}"),
    "spaces": safetensors(b" " * 10**5), "list": safetensors(b"[]"),
    "metadata": safetensors({"__metadata__": {"a": 1}}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_header_is_an_error(folder, name):
    (folder / "model.safetensors").write_bytes(HOSTILE[name])
    with pytest.raises(ChatError, match="model.safetensors|there is no"):
        Model.load(folder)


def test_a_header_of_100_mb_of_spaces_is_an_error(folder):
    for size in (10**8 - 2, 10**8):              # the most that the format allows, and more
        (folder / "model.safetensors").write_bytes(safetensors(b"{}" + b" " * size))
        with pytest.raises(ChatError, match="model.safetensors|there is no"):
            Model.load(folder)


def loads_or_raises(folder):
    try:
        Model.load(folder)
    except ChatError:
        return False
    return True


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_a_file_cut_or_flipped_at_any_third_byte_loads_or_is_an_error(file, tmp_path):
    """Weights that load are those that were saved."""
    model = random_model(TINY)
    hf.save(model, tmp_path)
    path = tmp_path / file
    whole = path.read_bytes()
    assert len(whole) < 3000
    assert loads_or_raises(tmp_path)
    for i in range(0, len(whole), 3):
        path.write_bytes(whole[:i])
        assert not loads_or_raises(tmp_path) or whole[i:].isspace()
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 1 << i % 8]) + whole[i + 1:])
        if loads_or_raises(tmp_path) and file == "model.safetensors":
            assert same_weights(Model.load(tmp_path), model), i


def test_changed_weights_are_named_with_what_to_do(tmp_path):
    """Also one bit of many blocks; what another program writes has no checksums."""
    model = random_model(Config(40, 8, 1, 64, 1, 1, 64, 64))
    hf.save(model, tmp_path)
    path = tmp_path / "model.safetensors"
    whole, tensors = path.read_bytes(), load_file(path)
    for at in range(len(whole) - 64 * 64 * 4, len(whole), 977):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1:])
        with pytest.raises(ChatError, match=r"(mlp\.down_proj|norm)\.weight does not match its "
                                            r"checksum: .* copy it anew"):
            Model.load(tmp_path)
    save_file(tensors, path, {"format": "pt"})
    assert same_weights(Model.load(tmp_path), model)
    for sums in ("[]", "7", "{"):
        save_file(tensors, path, {"format": "pt", "checksums": sums})
        with pytest.raises(ChatError, match="model.safetensors: (its checksums are|Expecting)"):
            Model.load(tmp_path)


def test_a_directory_or_a_pipe_in_place_of_the_weights_is_an_error(folder):
    (folder / "model.safetensors").unlink()
    os.mkfifo(folder / "model.safetensors")
    with pytest.raises(ChatError, match="is not a file"):
        Model.load(folder)
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").mkdir()
    with pytest.raises(ChatError, match="is not a file"):
        Model.load(folder)


# ---- Shards --------------------------------------------------------------------------------------

def shard(folder):
    """Split model.safetensors in two, with an index; returns the weight_map."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    where = {name: f"model-{1 + i % 2}-of-2.safetensors" for i, name in enumerate(tensors)}
    for file in set(where.values()):
        save_file({name: t for name, t in tensors.items() if where[name] == file}, folder / file)
    write_index(folder, where)
    return where


def write_index(folder, where):
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))


def test_shards_are_read(folder):
    model = Model.load(folder)
    shard(folder)
    assert same_weights(Model.load(folder), model)


@pytest.mark.parametrize("file", ["../model-1-of-2.safetensors", "/etc/passwd", "sub/x.safetensors",
                                  "..", ".", "", "link.safetensors", "loop", "a\0b", "x" * 300, 7,
                                  None, "missing.safetensors", "model-2-of-2.safetensors"])
def test_an_index_cannot_lead_out_of_the_folder_or_lie(folder, file):
    folder = folder / "inner"
    hf.save(random_model(CONFIGS["Qwen3ForCausalLM"]), folder)
    where = shard(folder)
    for outside in (folder.parent, folder / "sub"):
        outside.mkdir(exist_ok=True)
        (outside / "x.safetensors").write_bytes((folder / "model-1-of-2.safetensors").read_bytes())
        (outside / "model-1-of-2.safetensors").write_bytes((outside / "x.safetensors").read_bytes())
    (folder / "link.safetensors").symlink_to("../x.safetensors")
    (folder / "loop").symlink_to("loop")
    write_index(folder, {name: old.replace("model-1-of-2.safetensors", file) if type(file) is str
                         else file for name, old in where.items()})
    with pytest.raises(ChatError):
        Model.load(folder)


def test_an_index_that_is_no_index_or_lacks_a_file_is_an_error(folder):
    where = shard(folder)
    name = next(iter(where))
    for wrong in ([], None, {}, {name: where[name]}):
        write_index(folder, wrong)
        with pytest.raises(ChatError):
            Model.load(folder)


def test_which_tensor_an_index_says_is_where_does_not_matter(folder):
    model, where = Model.load(folder), shard(folder)
    name = next(iter(where))
    for stale in ({k: v for k, v in where.items() if k != name}, {**where, "extra": where[name]}):
        write_index(folder, stale)
        assert same_weights(Model.load(folder), model)
    (folder / "extra.safetensors").write_bytes((folder / where[name]).read_bytes())
    write_index(folder, {**where, "extra": "extra.safetensors"})
    with pytest.raises(ChatError, match="and in another file"):
        Model.load(folder)


# ---- Saving that fails ---------------------------------------------------------------------------

class Killed(BaseException):
    pass


def failing(function, call, error):
    """The function, but its call number `call` (from 0) raises."""
    calls = iter(range(call))

    def instead(*args):
        if next(calls, None) is None:
            raise error
        return function(*args)
    return instead


@pytest.mark.parametrize("error", [Killed(), OSError(28, "No space left on device")])
@pytest.mark.parametrize("name, calls", [("fsync", 4), ("replace", 3)])
def test_a_save_that_dies_leaves_the_old_or_the_new_model(folder, monkeypatch, name, calls, error):
    old, new = Model.load(folder), random_model(CONFIGS["Qwen3ForCausalLM"], seed=1)
    for call in range(calls):
        hf.save(old, folder)
        with monkeypatch.context() as patch:
            patch.setattr(os, name, failing(getattr(os, name), call, error))
            with pytest.raises(Killed if isinstance(error, Killed) else ChatError):
                hf.save(new, folder)
        found = Model.load(folder)
        assert same_weights(found, new if (name, call) == ("fsync", 3) else old)
        assert len(list(folder.iterdir())) == 3
    hf.save(new, folder)
    assert same_weights(Model.load(folder), new)


def test_weights_of_another_shape_are_never_mixed_with_a_new_config(folder, monkeypatch):
    new = random_model(CONFIGS["Qwen3ForCausalLM untied"], seed=1)
    monkeypatch.setattr(os, "replace", failing(os.replace, 2, Killed()))
    with pytest.raises(Killed):
        hf.save(new, folder)
    with pytest.raises(ChatError, match="lm_head.weight"):
        Model.load(folder)


def test_a_full_disk_is_one_sentence_and_the_old_model_stays(folder):
    model = Model.load(folder)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
    try:
        with pytest.raises(ChatError, match="File too large"):
            hf.save(random_model(CONFIGS["Qwen3ForCausalLM"], seed=1), folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert same_weights(Model.load(folder), model)
    assert len(list(folder.iterdir())) == 3


def test_a_folder_that_cannot_be_made_is_an_error(folder):
    with pytest.raises(ChatError, match="config.json"):
        hf.save(Model.load(folder), folder / "config.json")


def test_saving_holds_one_tensor_at_a_time():
    alive = []

    def read(name):
        assert all(reference() is None for reference in alive)
        values = hf.encoded(dtype, np.ones((30, 20), np.float32))
        alive.append(weakref.ref(values))
        return values

    with open(os.devnull, "wb") as file:
        for dtype in ("F32", "BF16"):
            file.writelines(hf.serialized(dtype, {"a": (30, 20), "b": (30, 20)}, read, {}))
    assert len(alive) == 4


def test_layers_without_a_pattern_are_compared_with_one_only(monkeypatch):
    """Ten thousand layers with all patterns that there could be took minutes."""
    tried, types = [], families.layer_types
    qwen2 = next(f for f in families.FAMILIES if f.name == "Qwen2")
    monkeypatch.setattr(families, "layer_types", lambda *how: tried.append(how) or types(*how))
    raw = {"use_sliding_window": True, "sliding_window": 16, "layer_types": ["x"] * 10_000}
    for last in "x", "full_attention", [], None:
        raw["layer_types"][-1] = last
        with pytest.raises(ChatError, match="layer_types"):
            families.read_window(raw, qwen2, 10_000)
    assert len(tried) == 8
    assert families.read_window(raw | {"layer_types": types(6, 16, 3)}, qwen2, 6) \
        == {"window": 16, "window_period": 3}
