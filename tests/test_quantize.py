"""csrc/quantize.c, csrc/gguf_write.py, data/tokens/tables.py and `infer.py quantize`: models
written as GGUF files, read again by us and by llama.cpp."""

import ctypes
import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csrc import adapter, gguf, gguf_write, gptq, hf
from csrc.bind import ChatError, Library, Model
from csrc.config import Config
from data.tokens import bpe, codecs, foreign, tables
from data.tokens.learn import count_chunks
from folders import CONFIGS, SIZES, llama3, random_model, same_weights
from infer import main
from test_codecs import tables as pieces
from test_gguf import MODELS

CORE = Library.load()
TYPES = "F32", "F16", "BF16", "Q4_0", "Q5_0", "Q8_0", "Q4_K", "Q6_K"
# Half of what lies between two numbers of a row whose largest is 1.
HALF_STEPS = {"F32": 0, "F16": 2**-11, "BF16": 2**-8, "Q4_0": 1 / 14, "Q5_0": 1 / 30,
              "Q8_0": 1 / 250, "Q4_K": 1 / 12, "Q6_K": 1 / 55}
each_type = pytest.mark.parametrize("type", TYPES)
pytestmark = pytest.mark.usefixtures("one_thread")
NONE = {"tokenizer.ggml.model": "none"}          # for llama.cpp: a model without a vocabulary


def there_and_back(type, values, *how):
    number = gguf.NUMBERS[type]
    return CORE.dequantize(number, CORE.quantize(number, values, *how), values.shape)


def rows(seed, count=3, cols=512, scale=1.0):
    return scale * np.random.default_rng(seed).standard_normal((count, cols), np.float32)


# ---- Numbers in blocks ---------------------------------------------------------------------------

@each_type
@settings(max_examples=12)
@given(st.integers(0, 99), st.sampled_from([1e-3, 1.0, 900.0]), st.sampled_from([1, 2, 17]))
def test_numbers_change_by_half_a_step_over_the_root_of_three(type, seed, scale, count):
    x = rows(seed, count, 256, scale)
    x[0, :40] = 0
    error = ((there_and_back(type, x) - x)**2).mean(1)**0.5 / np.abs(x).max(1)
    assert (error <= HALF_STEPS[type] / 3**0.5).all()


@each_type
def test_what_lies_on_the_grid_of_a_block_stays(type):
    x = there_and_back(type, rows(1))
    again = there_and_back(type, x)
    assert ((again - x)**2).mean() <= 0.02 * ((rows(1) - x)**2).mean()


@each_type
def test_zeros_and_constants_come_back(type):
    x = np.zeros((2, 256), np.float32)
    x[1] = -0.75
    np.testing.assert_allclose(there_and_back(type, x), x, rtol=0.01)


@each_type
def test_bytes_are_the_same_on_1_and_2_threads(type):
    x, found = rows(2, 67), []
    factor = np.triu(rows(3, 512) / 60, 1) + np.eye(512, dtype=np.float32)
    for threads in 1, 2:
        CORE.call("device_threads", threads)
        found.append(CORE.quantize(gguf.NUMBERS[type], x, None, factor).tobytes())
    CORE.call("device_threads", 1)
    assert found[0] == found[1]


def test_numbers_that_weigh_more_change_less():
    x, weight = rows(4, 50, 256), np.where(np.arange(256) % 2, 100, 1).astype(np.float32)
    for type in TYPES[3:]:
        plain, weighted = (((there_and_back(type, x, *how) - x)**2)[:, 1::2].mean()
                           for how in ((), (weight,)))
        assert weighted < plain


def test_what_no_row_of_blocks_can_have_is_refused():
    with pytest.raises(ChatError, match="no rows of 48 numbers are made in the type 2"):
        CORE.quantize(2, rows(0, 1, 48))
    with pytest.raises(ChatError, match="type 10"):
        CORE.quantize(10, rows(0, 1, 256))


@pytest.mark.parametrize("type", TYPES[3:])
@pytest.mark.parametrize("draw", [
    lambda rng, shape: rng.standard_normal(shape), lambda rng, shape: rng.standard_t(3, shape),
    lambda rng, shape: rng.uniform(-1, 2, shape)], ids=["normal", "t", "uniform"])
def test_the_mean_square_of_errors_is_below_that_of_llama_cpp_s_quantizer(type, draw):
    llama_cpp = pytest.importorskip("llama_cpp")
    ggml = ctypes.CDLL(str(next(Path(llama_cpp.__file__).parent.glob("lib/libggml-base.so"))))
    x = draw(np.random.default_rng(0), (64, 512)).astype(np.float32)
    number = gguf.NUMBERS[type]
    theirs = np.empty((64, CORE.call("quant_row", number, 512)), np.uint8)
    ggml.ggml_quantize_init(number)
    size = ctypes.c_int64
    ggml.ggml_quantize_chunk(number, ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(
        theirs.ctypes.data), size(0), size(64), size(512), None)
    its = CORE.dequantize(number, theirs, x.shape)
    assert ((there_and_back(type, x) - x)**2).mean() < ((its - x)**2).mean()


# ---- Models --------------------------------------------------------------------------------------

FAMILIES = MODELS | {
    "llama of Llama 3's": Config(**SIZES | {"head_dim": 32}, qk_norm=0, **llama3(8192)),
    "gptneox one after the other": replace(MODELS["gptneox"], block=0),
    "llama with linear": replace(MODELS["llama"], rope_scaling=(
        ("rope_type", "linear"), ("factor", 2.0))),
    "phi3 of longrope's": replace(MODELS["phi3"], head_dim=4, rope_scaling=(
        ("rope_type", "longrope"), ("factor", 4.0), ("original_max_position_embeddings", 10),
        ("short_factor", (1.0, 1.5)), ("long_factor", (2.0, 3.0))))}
LLAMA_CPP_S = {"qwen2": {"head_dim": 4}, "phi3": {"head_dim": 4}, "olmo2": {"tied": 0},
               "falcon with two norms": {"bias": 0}}         # which it insists on


def saved(config, path, mix="f32", tokenizer=NONE):
    """A random model, after it was written."""
    model = random_model(config)
    architecture = path.stem.split()[0]
    if architecture in gguf.MODELS:
        model.family = gguf.MODEL_TYPES[gguf.MODELS[architecture]]
    gguf_write.save(model, path, mix, tokenizer)
    return model


@pytest.mark.parametrize("name", FAMILIES)
def test_a_model_comes_back_bit_by_bit(tmp_path, name):
    model = saved(FAMILIES[name], tmp_path / f"{name}.gguf")
    again = Model.load(tmp_path / f"{name}.gguf")
    assert again.config == (model.config if "longrope" not in name else replace(
        model.config, rope_scaling=again.config.rope_scaling)) and same_weights(model, again)


@pytest.mark.parametrize("name", FAMILIES)
def test_llama_cpp_gives_the_same_logits(tmp_path, name):
    llama_cpp = pytest.importorskip("llama_cpp")
    config, path = replace(FAMILIES[name], **LLAMA_CPP_S.get(name, {})), tmp_path / f"{name}.gguf"
    if not name.startswith("gemma"):             # of others it reads no windows
        config = replace(config, window=0, window_period=0)
    model, ids = saved(config, path), [*range(1, 13)]
    theirs = llama_cpp.Llama(str(path), n_ctx=64, n_batch=64, logits_all=True, verbose=False)
    theirs.eval(ids)
    ours = model.logits([ids])[0]
    assert np.abs(np.array(theirs.scores[:12]) - ours).max() < 0.005 * np.abs(ours).max()


@pytest.mark.parametrize("mix", gguf_write.MIXES)
def test_each_mix_has_the_types_that_it_says_and_weights_near_the_model_s(tmp_path, mix):
    config = Config(vocab=61, context=40, layers=8, channels=256, heads=4, kv_heads=2, head_dim=16,
                    hidden=96)
    model = random_model(config)
    gguf_write.save(model, tmp_path / "m.gguf", mix, NONE)
    file = gguf.File(tmp_path / "m.gguf")
    types = {name: tensor.type for name, tensor in file.tensors.items()}
    about = gguf_write.MIXES[mix]
    assert types["blk.1.attn_q.weight"] == about.type and types["token_embd.weight"] == about.head
    assert types["blk.1.attn_v.weight"] == about.type
    assert types["blk.0.attn_v.weight"] == (about.better or about.type)     # 8 layers: below 1/8
    assert types["blk.3.ffn_down.weight"] == {           # 96 columns
        "F32": "F32", "F16": "F16", "BF16": "BF16", "Q8_0": "Q8_0", "Q6_K": "Q8_0",
        "Q4_0": "Q4_0", "Q4_K": "Q8_0" if about.better else "Q5_0"}[about.type]
    assert types["output_norm.weight"] == types["blk.0.attn_k_norm.weight"] == "F32"
    bits, again = 8 * file.tensors["blk.1.attn_q.weight"].blocks.size / 64 / 256, Model.load(file)
    for name in model.index:
        x = model.read(name)
        assert np.std(again.read(name) - x) <= 2 * 2.0**-min(bits, 9) * np.std(x)


REFUSED = {
    "a model with a scalar head": CONFIGS["Qwen3ForSequenceClassification"],
    "of Qwen3's: window=5, window_period=2": CONFIGS["Qwen3ForCausalLM with windows"],
    "of Llama's: rope_freqs.weight is not Llama 3's": CONFIGS["LlamaForCausalLM"],
    "of Qwen3Moe's: expert_norm=0, expert_period=2": CONFIGS["Qwen3MoeForCausalLM"],
    "of Gemma3's: .*window_period=2": CONFIGS["Gemma3ForCausalLM"],
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_gguf_has_no_name_for_is_refused(tmp_path, message):
    with pytest.raises(ChatError, match=message):
        gguf_write.save(random_model(REFUSED[message]), tmp_path / "m.gguf", "f32", NONE)
    assert not any(tmp_path.iterdir())


def test_a_weight_that_is_no_number_is_never_written(tmp_path):
    model = random_model(MODELS["qwen3"])
    model.write("model.norm.weight", np.full(16, np.nan))
    with pytest.raises(ChatError, match="model.norm.weight is not finite"):
        gguf_write.save(model, tmp_path / "m.gguf", "f32", NONE)
    assert not any(tmp_path.iterdir())


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path):
    model, limits = random_model(MODELS["qwen3"]), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
    try:
        with pytest.raises(ChatError, match=r"m.gguf: File too large$"):
            gguf_write.save(model, tmp_path / "m.gguf", "f32", NONE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not any(tmp_path.iterdir())


# ---- GPTQ ----------------------------------------------------------------------------------------

Q_PROJ = "model.layers.0.self_attn.q_proj.weight"


def correlated(seed, count, cols):
    """Inputs (count,cols) of a few directions, as activations are."""
    rng = np.random.default_rng(seed)
    few = rng.standard_normal((count, cols // 8)) @ rng.standard_normal((cols // 8, cols))
    return (few + 0.3 * rng.standard_normal((count, cols))).astype(np.float32)


@pytest.mark.parametrize("type", ["Q4_0", "Q5_0", "Q4_K", "Q6_K"])
def test_outputs_lose_less_where_numbers_make_good_what_others_lost(type):
    model = Model(Config(vocab=8, context=4, layers=1, channels=256, heads=4, kv_heads=4,
                         head_dim=64, hidden=32))
    name, W, X = Q_PROJ, rows(5, 256, 256), correlated(0, 512, 256)
    model.write(name, W)
    gptq.fit(model, name, gguf.NUMBERS[type], (X.T @ X).astype(float), np.zeros((256, 256)))
    ours, nearest = (((X @ (Q - W).T)**2).mean() for Q in (
        model.read(name), there_and_back(type, W)))
    assert ours < 0.5 * nearest


def test_what_earlier_layers_lost_is_made_good():
    """Inputs that are all 1.1 times too large."""
    model = Model(Config(vocab=8, context=4, layers=1, channels=32, heads=4, kv_heads=4, head_dim=8,
                         hidden=32))
    name, W, X = Q_PROJ, rows(5, 32, 32), correlated(0, 512, 32)
    model.write(name, W)
    gptq.fit(model, name, gguf.NUMBERS["F32"], (X.T @ X).astype(float),
             ((X / 1.1 - X).T @ X).astype(float))
    assert np.abs(X @ model.read(name).T - X / 1.1 @ W.T).mean() < 0.02 * np.abs(X @ W.T).mean()


@pytest.mark.parametrize("config", [
    Config(**SIZES), CONFIGS["GPT2LMHeadModel"], CONFIGS["Gemma2ForCausalLM"],
    CONFIGS["FalconForCausalLM"], CONFIGS["MixtralForCausalLM"]])
def test_blocks_one_after_the_other_make_the_model_and_give_the_inputs_of_products(config):
    model, ids = random_model(config), np.arange(20).reshape(2, 10)
    types = dict.fromkeys(model.index, "F32")
    before = model.logits(ids)
    blocks = gptq.rounded(model, types, ids)     # F32 rounds nothing
    np.testing.assert_allclose(model.logits(ids), before, rtol=1e-4, atol=1e-4)
    assert len(blocks) == sum(name.endswith("_proj.weight") and ".experts." not in name
                              for name in model.index)
    inputs = model.block(0, rows(1, 20, config.channels).reshape(2, 10, -1), True)
    for ends, X in inputs.items():
        for name in (f"model.layers.0.{end}" for end in ends):
            if name in model.index:
                assert X.shape == (20, model.tensors[model.index[name]][1][1])


def test_wrong_blocks_are_refused():
    model, x = random_model(Config(**SIZES)), np.zeros((1, 50, 16), np.float32)
    with pytest.raises(ChatError, match="T=50: must be at least 1, and T at most the context"):
        model.block(0, x)
    with pytest.raises(ChatError, match="there is no layer 2 of 2"):
        model.block(2, x)


# ---- Tokenizers ----------------------------------------------------------------------------------

TEXTS = ["", "Hello, world!  It's 2024.\n\n\tTabs", "né 中文 한국어 👩‍👩‍👧 \u200b\x00",
         "a" * 40 + "  \r\n b'LL",
         "<|im_start|>user\n<|endoftext|>", "١٢٣ ½ ſ İ ﬁ", " leading and trailing "]


def learnt():
    """A tokenizer of ours."""
    return bpe.learn(count_chunks(TEXTS * 2), 320)


def through_gguf(tokenizer, extra=0):
    """(the same, by way of GGUF's tables; those)."""
    values = tables.to_gguf(tokenizer, tokenizer.vocab_size + extra)

    class InFile:
        pass
    InFile.values = values
    return bpe.Tokenizer(*foreign.from_gguf(InFile)), values


def test_a_tokenizer_of_ours_comes_back(tmp_path):
    tokenizer = learnt()
    again, values = through_gguf(tokenizer)
    assert values["tokenizer.ggml.pre"] == "qwen2" and again.specials == tokenizer.specials
    assert again.begin == tokenizer.begin and again.ends == tokenizer.ends
    assert values["tokenizer.chat_template"] == bpe.CHAT_TEMPLATE
    for text in TEXTS:
        assert again.encode(text) == tokenizer.encode(text)


@pytest.mark.parametrize("prefix", [True, False])
def test_pieces_with_scores_come_back_from_a_tokenizer_json(prefix):
    pytest.importorskip("tokenizers")
    codec = codecs.SentencePiece(*pieces(prefix))
    again, values = through_gguf(bpe.Tokenizer(codec.describe(), {}), extra=3)
    assert values["tokenizer.ggml.tokens"][-3:] == [f"[PAD{i}]" for i in range(
        len(codec.tokens), len(codec.tokens) + 3)]
    for text in [*TEXTS, "ab cab  aba ▁▁ 中文👩👩 ea\n\n\n<tool>"]:
        assert again.encode(text) == codec.encode(text)
    assert values["tokenizer.ggml.unknown_token_id"] == 0


def test_a_vocabulary_that_gguf_cannot_name_is_refused():
    spec = learnt().spec
    spec["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = codecs.CL100K_PATTERN
    with pytest.raises(ChatError, match="no name for a vocabulary that is split by"):
        tables.to_gguf(bpe.Tokenizer(spec, {}), 400)


def test_llama_cpp_makes_the_same_ids(tmp_path):
    llama_cpp = pytest.importorskip("llama_cpp")
    tokenizer = learnt()
    config = replace(MODELS["qwen3"], vocab=tokenizer.vocab_size + 5)
    saved(config, tmp_path / "m.gguf", "f16", tables.to_gguf(tokenizer, config.vocab))
    theirs = llama_cpp.Llama(str(tmp_path / "m.gguf"), vocab_only=True, verbose=False)
    for text in TEXTS:
        ids = theirs.tokenize(text.encode(), add_bos=True, special=False)
        assert ids == [tokenizer.begin, *tokenizer.encode(text)]
    assert theirs.token_eos() == tokenizer.special(bpe.END)
    marked = theirs.tokenize(b"<|im_start|>", add_bos=False, special=True)
    assert marked == [tokenizer.special("<|im_start|>")]


# ---- infer.py quantize ---------------------------------------------------------------------------

@pytest.fixture
def run(tmp_path):
    """A run's folder."""
    tokenizer = learnt()
    model = random_model(replace(MODELS["qwen3"], vocab=tokenizer.vocab_size))
    model.save(tmp_path / "run", tokenizer.generation())
    tokenizer.save(tmp_path / "run")
    return tmp_path / "run"


def quantize(monkeypatch, *flags):
    monkeypatch.setattr("sys.argv", ["infer.py", "quantize", *map(str, flags)])
    main()


def test_a_folder_becomes_a_file_and_that_a_folder_again(run, tmp_path, monkeypatch):
    quantize(monkeypatch, "--model", run, "--type", "f32", "--out", tmp_path / "a.gguf")
    quantize(monkeypatch, "--model", tmp_path / "a.gguf", "--type", "f32", "--out",
             tmp_path / "b.gguf")
    quantize(monkeypatch, "--model", tmp_path / "b.gguf", "--out", tmp_path / "again")
    assert same_weights(Model.load(tmp_path / "again"), Model.load(run))
    assert hf.ends_of(tmp_path / "again") == hf.ends_of(run)
    one, other = (bpe.Tokenizer.load(place) for place in (run, tmp_path / "again"))
    assert all(one.encode(text) == other.encode(text) for text in TEXTS)
    a, b = (gguf.File(tmp_path / name).values for name in ("a.gguf", "b.gguf"))
    assert str(a) == str(b | {"general.name": "a"})


def test_gptq_writes_a_file_of_the_same_size_from_texts_of_its_own(run, tmp_path, monkeypatch):
    for how in "nearest", "gptq":
        quantize(monkeypatch, "--model", run, "--type", "q8_0", "--out", tmp_path / f"{how}.gguf",
                 "--rounding", how)
    one, other = (gguf.File(tmp_path / f"{how}.gguf") for how in ("nearest", "gptq"))
    assert {name: (t.type, t.shape) for name, t in one.tensors.items()} == \
        {name: (t.type, t.shape) for name, t in other.tensors.items()}
    ids = np.arange(30)[None]
    want = Model.load(run).logits(ids)
    assert np.abs(Model.load(other).logits(ids) - want).max() < 0.1 * np.abs(want).max()


def test_an_adapter_is_merged_into_the_file(run, tmp_path, monkeypatch):
    model, rng = Model.load(run, lora=2), np.random.default_rng(1)
    adapter.begin(model, 0)
    for name, shape, _ in model.tensors:
        if name.endswith("lora_B.weight"):
            model.write(name, 0.3 * rng.standard_normal(shape))
    model.save(tmp_path / "adapter")
    bpe.Tokenizer.load(run).save(tmp_path / "adapter")
    quantize(monkeypatch, "--model", tmp_path / "adapter", "--type", "f32", "--out",
             tmp_path / "a.gguf")
    ids = np.arange(20)[None]
    got, plain = (Model.load(place).logits(ids) for place in (tmp_path / "a.gguf", run))
    np.testing.assert_allclose(got, model.logits(ids), atol=1e-3)
    assert np.abs(got - plain).max() > 0.05


def test_wrong_flags_are_refused_in_a_sentence(run, tmp_path, monkeypatch):
    with pytest.raises(ChatError, match="--type is 'q3_k', but must be one of f32, f16"):
        quantize(monkeypatch, "--model", run, "--type", "q3_k", "--out", tmp_path / "a.gguf")
    with pytest.raises(ChatError, match="--type is q4_0, but a folder's is f32"):
        quantize(monkeypatch, "--model", run, "--type", "q4_0", "--out", tmp_path / "a")
    with pytest.raises(ChatError, match="--rounding is gptq, but a folder's is nearest"):
        quantize(monkeypatch, "--model", run, "--rounding", "gptq", "--out", tmp_path / "a")
    for taken in run, run / "config.json":
        with pytest.raises(ChatError, match="exists; remove it or choose another"):
            quantize(monkeypatch, "--model", run, "--out", taken)
    assert [*tmp_path.iterdir()] == [run]
