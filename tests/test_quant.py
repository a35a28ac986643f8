"""csrc/quant.c: GGUF's types of tensors, and products with them, against tests/ref_blocks.py."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ref_blocks
from csrc.bind import MAPPED, ChatError, Model
from kernel_calls import (FLOAT, Draw, assert_within, examples, real, run, seeds, single, to_float,
                          to_real, unit)
from test_model import CONFIGS, like

each_type = pytest.mark.parametrize("type", ref_blocks.TYPES, ids=lambda t: ref_blocks.TYPES[t][0])
FLOATS = 0, 1, 30


@pytest.fixture(scope="session")
def blocks_lib(lib):
    """A library that multiplies what lies in blocks."""
    if not lib.call("quant_multiplies"):
        pytest.skip("this device expands blocks")
    return lib


# ---- Numbers -------------------------------------------------------------------------------------

@each_type
def test_dequantize(lib, type):
    """All bits of a block at random, so some scales are infinite or no numbers."""
    _, bytes, numbers, _ = ref_blocks.TYPES[type]
    rng = np.random.default_rng(type)
    for blocks in (rng.integers(0, 256, (300, bytes), dtype=np.uint8),
                   ref_blocks.draw(rng, type, 3, 768)):
        with np.errstate(all="ignore"):
            want = ref_blocks.dequantize(type, blocks)
            got, = run(lib, "dequantize", [single(*want.shape)], blocks, type, want.size)
            np.testing.assert_allclose(got, want.astype(np.float32), rtol=2 * FLOAT, atol=1e-37)


@each_type
def test_dequantize_gives_the_bits_that_gguf_gives(lib, type):
    quants = pytest.importorskip("gguf.quants")
    blocks = ref_blocks.draw(np.random.default_rng(type), type, 5, 512)
    want = quants.dequantize(blocks, quants.GGMLQuantizationType(type))
    assert lib.dequantize(type, blocks, want.shape).tobytes() == want.tobytes()


def test_rows_that_are_no_whole_blocks_or_of_unknown_types_have_no_size(lib):
    for type, C, bytes in (2, 64, 36), (2, 48, 0), (12, 256, 144), (12, 32, 0), (0, 3, 12), \
                          (16, 256, 0), (-1, 256, 0), (4, 32, 0):
        assert lib.call("quant_row", type, C) == bytes
    with pytest.raises(ChatError, match="36 bytes are not .* of type 12"):
        lib.dequantize(12, np.zeros(36, np.uint8), (1, 256))


# ---- Products ------------------------------------------------------------------------------------

def quantized(lib, inp):
    """What quant_inputs makes of inp (N,C)."""
    q8 = np.zeros(lib.call("quant_inputs_size", *inp.shape), np.uint8)
    lib.call("quant_inputs", q8, to_real(lib, inp), *inp.shape)
    return q8

def rounding_of_inputs(inp):
    """By how much the rounding to 8 bits moves each number at most."""
    groups = np.abs(inp).reshape(len(inp), -1, 32).max(2) / 254
    return np.repeat(groups, 32, axis=1) * (1 + 1e-5)


def bound_of_sums(type, inp, weight):
    """Rounding in float: terms may be as large as the largest weight of a row."""
    most = np.abs(weight).max(1, initial=0)
    return 4 * (weight.shape[1] + 8) * FLOAT * np.abs(inp).sum(1)[:, None] * most


@each_type
@given(N=st.integers(1, 33), rows=st.sampled_from([1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 70]),
       wide=st.integers(1, 3), scale=st.sampled_from([1.0, 1e-3, 1e3]), epilogue=st.booleans(),
       seed=seeds)
@examples(8)
def test_quant_forward(blocks_lib, type, N, rows, wide, scale, epilogue, seed):
    lib, draw = blocks_lib, Draw(blocks_lib, seed)
    C = wide * max(32, ref_blocks.TYPES[type][2])
    blocks, inp = ref_blocks.draw(draw.rng, type, rows, C), draw(N, C, scale=scale)
    bias, residual = (draw(rows), draw(N, rows)) if epilogue else (None, None)
    weight, q8 = ref_blocks.dequantize(type, blocks), quantized(lib, inp)
    want, bound = inp @ weight.T, bound_of_sums(type, inp, weight)
    naive, = run(lib, "quant_naive", [single(N, rows)], to_real(lib, inp), q8, blocks, type, N, C,
                 rows)
    got, = run(lib, "quant_forward_float", [single(N, rows)], to_real(lib, inp), q8, blocks,
               type, N, C, rows, rows)
    assert_within(got, naive, bound)
    rounding = 0 if type in FLOATS else rounding_of_inputs(inp) @ np.abs(weight).T
    assert_within(got, want, rounding + bound)
    got, = run(lib, "quant_forward", [real(N, rows)], to_real(lib, inp), q8, blocks, bias, residual,
               type, 0, N, C, rows, rows)
    want = naive + (bias + residual if epilogue else 0)
    assert_within(got, want, bound + unit(lib) * (np.abs(want) + 4 * epilogue))


@each_type
def test_a_row_has_the_same_bits_in_any_company(blocks_lib, type):
    lib, N, rows, C = blocks_lib, 33, 43, 512
    draw = Draw(lib, type)
    inp, blocks = draw(N, C), ref_blocks.draw(draw.rng, type, rows, C)

    def product(inp, blocks):
        out = np.full((len(inp), len(blocks)), np.nan, np.float32)
        lib.call("quant_forward_float", out, to_real(lib, inp), quantized(lib, inp), blocks,
                 type, len(inp), C, len(blocks), len(blocks))
        return out
    all = product(inp, blocks)
    for n in (*range(1, 33), N):
        assert product(inp[:n], blocks).tobytes() == all[:n].tobytes()
    for n in 5, 32:
        assert product(inp[n:n + 1], blocks[n:]).tobytes() == all[n:n + 1, n:].tobytes()


def test_columns_of_a_wider_output_and_heads_whose_rows_are_pairs(blocks_lib):
    """The rows of a head of 8, in a file: 0 4 1 5 2 6 3 7."""
    lib, N, rows, C, O = blocks_lib, 5, 24, 64, 40
    draw = Draw(lib, 1)
    inp, blocks = draw(N, C), ref_blocks.draw(draw.rng, 2, rows, C)
    order = np.arange(rows).reshape(3, 2, 4).swapaxes(1, 2).reshape(-1)
    whole = np.full((N, O), -7.0)
    got = to_real(lib, whole)
    lib.call("quant_forward", got.reshape(-1)[3:], to_real(lib, inp), quantized(lib, inp),
             blocks[order], None, None, 2, 8, N, C, rows, O)
    whole[:, 3:3 + rows] = inp @ ref_blocks.dequantize(2, blocks).T
    assert_within(np.float64(to_float(lib, got)), whole, 0.05 + unit(lib) * np.abs(whole))


def test_inputs_that_are_no_numbers_make_no_numbers_and_tiny_ones_zero(blocks_lib):
    lib, C = blocks_lib, 64
    inp = np.ones((5, C))
    inp[0, 3], inp[1, 40], inp[2], inp[3] = np.nan, np.inf, 0, 1e-38
    blocks = ref_blocks.draw(np.random.default_rng(0), 2, 9, C)
    got = np.empty((5, 9), np.float32)
    lib.call("quant_forward_float", got, to_real(lib, inp), quantized(lib, inp), blocks,
             2, 5, C, 9, 9)
    assert not np.isfinite(got[:2]).any() and (got[2] == 0).all() and (np.abs(got[3]) < 1e-35).all()
    assert np.isfinite(got[4]).all()


# ---- Models --------------------------------------------------------------------------------------

WIDE = dict(channels=64, hidden=96, head_dim=16)
TYPES_OF = {"embed": 8, "q_proj": 3, "v_proj": 20, "k_proj": 39, "o_proj": 2, "down": 6,
            "lm_head": 8}


def mapped(lib, config, pairs=0, flags=MAPPED):
    """A model whose matrices are of several types; the same with the same numbers written."""
    model, rng = Model(config, lib.device, lib.dtype, flags), np.random.default_rng(2)
    plain = Model(config, lib.device, lib.dtype, 0)
    for name, shape, matrix in model.tensors:
        type = next((t for part, t in TYPES_OF.items() if part in name), 7) if matrix else 0
        if shape[-1] % ref_blocks.TYPES[type][2]:
            type = 2 if shape[-1] % 32 == 0 else 1
        blocks = ref_blocks.draw(rng, type, int(np.prod(shape[:-1])), shape[-1],
                                 scale=4 * shape[-1] ** -0.5)
        values = ref_blocks.dequantize(type, blocks).reshape(shape)
        D = pairs if "q_proj" in name or "k_proj" in name else 0
        if D:
            values = values.reshape(-1, D // 2, 2, *shape[1:]).swapaxes(1, 2).reshape(shape)
        plain.write(name, values)
        model.map(name, type, blocks, D)
    return model, plain


@pytest.mark.parametrize("name", [n for n in CONFIGS if n != "smallest"])
@pytest.mark.parametrize("pairs", [0, 16])
def test_a_mapped_model_is_the_same_model(lib, name, pairs):
    """Within what rounding inputs to 8 bits does, some 1/128 in each product."""
    config = like(**{**vars(CONFIGS[name]), **WIDE})
    model, plain = mapped(lib, config, pairs)
    tokens = np.random.default_rng(3).integers(0, config.vocab, (2, 9))
    got, want = model.logits(tokens), plain.logits(tokens)
    assert np.abs(got - want).max() < 0.1 * np.abs(want).max()
    bound = 0.03 if lib.dtype == "f32" else 0.04         # Gemma 3 has 0.028 and 0.034
    assert np.sqrt(np.mean((got - want) ** 2)) < bound * want.std()


def test_a_mapped_models_logits_do_not_depend_on_the_batch(blocks_lib):
    model, _ = mapped(blocks_lib, like(**WIDE), pairs=16)
    tokens = np.random.default_rng(3).integers(0, 131, (3, 20)).tolist()
    cache = model.cache(3, 20)
    whole = model.extend(cache, [0, 1, 2], tokens)
    for i, row in enumerate(tokens):
        cache.fork(i, i, 0)
        for t in row:
            alone = model.extend(cache, [i], [[t]])
        assert alone.tobytes() == whole[i:i + 1].tobytes()


def test_memory_of_a_mapped_model_is_without_its_matrices(blocks_lib):
    lib, config = blocks_lib, like(**WIDE)
    memory = {flags: lib.memory(config, flags, 7, 2, 10) for flags in (0, MAPPED)}
    vectors = sum(np.prod(shape) for _, shape, matrix in Model(config, flags=0).tensors
                  if not matrix)
    rope, lines = 4 * config.context * config.head_dim, 256 * 2 * config.layers * 4
    assert memory[MAPPED]["weights"] <= rope + 4 * vectors + lines + 1024
    assert memory[0]["weights"] > memory[MAPPED]["weights"] + 2 * 131 * 64
    assert memory[MAPPED]["cache"] * (2 if lib.dtype == "f32" else 1) == memory[0]["cache"]


def test_what_cannot_be_mapped_is_refused(lib):
    config = like(**WIDE)
    with pytest.raises(ChatError, match="cannot learn weights that are mapped"):
        Model(config, lib.device, lib.dtype, MAPPED + 1)
    with pytest.raises(ChatError, match="model.norm.weight cannot be mapped: .* not made with"):
        Model(config, lib.device, lib.dtype, 0).map("model.norm.weight", 0, np.zeros(256, np.uint8))
    name = "model.layers.0.self_attn.q_proj.weight"
    model = Model(config, lib.device, lib.dtype, MAPPED)
    for words, type, size, pairs in (
            ("rows of 64 numbers in type 12, which is not read here", 12, 64 * 36, 0),
            ("rows of 64 numbers in type 99, which is not read here", 99, 64 * 36, 0),
            (r"is 2303 bytes long, but \(64,64\) in type 2 are 2304", 2, 2303, 0),
            ("no heads of 24 rows in pairs, but 64 rows", 2, 2304, 24),
            ("no heads of -2 rows in pairs, but 64 rows", 2, 2304, -2)):
        with pytest.raises(ChatError, match=words):
            model.map(name, type, np.zeros(size, np.uint8), pairs)


def test_a_matrix_that_was_not_mapped_is_named_and_one_that_is_cannot_be_written(blocks_lib):
    model = Model(like(**WIDE), blocks_lib.device, blocks_lib.dtype, MAPPED)
    with pytest.raises(ChatError, match="model.embed_tokens.weight has not been mapped"):
        model.logits([[1]])
    with pytest.raises(ChatError, match="model.embed_tokens.weight is mapped, so it cannot be"):
        model.write("model.embed_tokens.weight", np.zeros((131, 64)))
