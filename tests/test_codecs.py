"""Tokenizers from elsewhere: SentencePiece's pieces, unigram, GGUF's tables; data/tokens/codecs.py
and foreign.py."""

import json
import os
import re
import struct
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csrc.bind import ChatError
from data.tokens import bpe, codecs, foreign
from data.tokens.codecs import BYTE, CONTROL, NORMAL, SPACE, UNKNOWN, USER
from data.tokens.vocabulary import TO_CHAR
from gguf_files import gguf

relaxed = settings(deadline=None, derandomize="CI" in os.environ, max_examples=150)

SPECIAL = ["<unk>", "<s>", "</s>"]
FOUND = ["\n\n", "\n\n\n", "<tool>"]
PIECES = ["▁▁", "ab", "ba", "aba", "bab", "▁a", "▁ab", "cab", "▁▁▁▁", "▁▁▁", "中文", "é", "ea", "▁é",
          "<s", "ss", "sss", "▁", "a", "b", "c", "e", "s", "<", ">", "中", "文", "👩", "/", "n", "👩👩"]
ALPHABET = st.text(st.sampled_from("abces<>/n \n▁é中文👩😀\t\0\ufeff|"), max_size=40)


def tables(prefix=True):
    """The tables of a small vocabulary: (tokens, scores, types, prefix)."""
    tokens = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256)), *PIECES, *FOUND]
    types = [UNKNOWN, CONTROL, CONTROL] + [BYTE] * 256 + [NORMAL] * len(PIECES) + [USER] * 3
    scores = np.zeros(len(tokens), np.float32)
    scores[259:259 + len(PIECES)] = -np.arange(len(PIECES))
    return tokens, scores, np.array(types, np.int32), prefix


def naive(text, tokens, scores, types, prefix):
    """SentencePiece's algorithm, as it is told: join the neighbours whose piece has the highest
    score, the leftmost of several, until none is left; of what is no piece then, take the bytes."""
    ids = {token: i for i, token in enumerate(tokens) if types[i] == NORMAL}
    parts = [*(" " * prefix + text).replace(" ", SPACE)]
    while True:
        joined = [(-scores[ids[pair]], i) for i in range(len(parts) - 1)
                  if (pair := parts[i] + parts[i + 1]) in ids]
        if not joined:
            break
        i = min(joined)[1]
        parts[i:i + 2] = [parts[i] + parts[i + 1]]
    return [i for part in parts for i in
            ([ids[part]] if part in ids else [3 + byte for byte in part.encode()])]


@cache
def both(prefix):
    """The codec of the tables, and the tokenizer of what it describes."""
    pytest.importorskip("tokenizers")
    codec = codecs.SentencePiece(*tables(prefix))
    return codec, bpe.Tokenizer(json.loads(json.dumps(codec.describe())), {})


@pytest.mark.parametrize("prefix", [True, False])
@relaxed
@given(ALPHABET)
def test_sentencepiece_s_ids_are_those_of_its_algorithm(prefix, text):
    codec, _ = both(prefix)
    text = re.sub("\n+", "\n", text)             # without texts to be found
    assert codec.encode(text) == (naive(text, *tables(prefix)) if text else [])


@pytest.mark.parametrize("prefix", [True, False])
@relaxed
@given(ALPHABET)
def test_a_described_sentencepiece_vocabulary_gives_the_same_ids_in_tokenizers(prefix, text):
    codec, other = both(prefix)
    assert other.encode(text) == codec.encode(text) and other.specials == codec.specials
    assert other.codec.tokens == codec.tokens


def unigram(prefix=True, squeeze=False):
    tokens, scores, types, _ = tables()
    scores = np.where(types == NORMAL, -2 - 0.1 * np.arange(len(types)) % 3, scores)
    return foreign.unigram(tokens, scores, types, prefix, squeeze, b"")


def codecs_of_all_kinds():
    yield codecs.ByteLevel(bpe.Tokenizer.from_merges([(97, 98)]).spec)
    yield codecs.SentencePiece(*tables())
    pytest.importorskip("tokenizers")
    yield codecs.Tokenizers(codecs.SentencePiece(*tables()).describe(), "")
    yield codecs.Tokenizers(unigram(), "")


def test_no_text_makes_a_special_token_but_by_its_alias():
    for codec in codecs_of_all_kinds():
        for name, i in codec.specials.items():
            for text in (name, f" {name} ", f"a{name}b", name[:-1], name * 3, f"{i};"):
                assert not {*codec.encode(text)} & {*codec.specials.values()}
            assert codec.encode(codecs.alias(i)) == [i]
            around = codec.encode(f"a{codecs.alias(i)}b{name}")
            assert [j for j in around if j in codec.specials.values()] == [i]
            assert codec.tokens[i] == name.encode()


def test_the_longest_text_to_be_found_is_and_the_rest_is_encoded_by_itself():
    codec = codecs.SentencePiece(*tables())
    found = {text: 259 + len(PIECES) + i for i, text in enumerate(FOUND)}
    assert codec.encode("\n\n\n\n\n") == [found["\n\n\n"], found["\n\n"]]
    assert codec.encode("ab<tool>ab") == [*codec.encode("ab"), found["<tool>"],
                                          *codec.encode("ab")]


@given(st.sets(st.text("ab<.", min_size=1, max_size=5)), st.text("ab<.", max_size=40))
def test_any_texts_are_found_as_one_by_one(texts, text):
    pattern = "|".join(map(re.escape, sorted(texts, key=len, reverse=True))) or "(?!)"
    matcher = codecs.Matcher({found: i for i, found in enumerate(sorted(texts))})
    wanted = [sorted(texts).index(found) for found in re.findall(pattern, text)]
    assert matcher.encode(text, lambda rest: []) == wanted


def test_many_texts_to_be_found_cost_no_more_than_few():
    matcher = codecs.Matcher({f"<unused{i}>": i for i in range(10_000)})
    assert matcher.encode("<" * 1_000_000 + "<unused9999>", lambda rest: [-1]) == [-1, 9999]


@pytest.mark.parametrize("unit", ["a", "ab", " ", "中", "😀", "\n", "é a"])
def test_a_million_of_the_same_take_no_quadratic_time(unit):
    text = unit * (300_000 // len(unit))
    codec = codecs.SentencePiece(*tables(False))
    assert b"".join(codec.tokens[i] for i in codec.encode(text)).decode() == text


def test_an_unsound_sentencepiece_vocabulary_is_refused():
    tokens, scores, types, prefix = tables()
    with pytest.raises(ChatError, match="there are 293 tokens, but only 292"):
        codecs.SentencePiece([*tokens[:-1], "ab"], scores, types, prefix)
    types[10] = NORMAL
    with pytest.raises(ChatError, match="there are tokens for 255 bytes, but must be for all 256"):
        codecs.SentencePiece(tokens, scores, types, prefix)


# ---- GGUF's tables -------------------------------------------------------------------------------

def byte_level_values(pre="gpt-2", **more):
    tokens = [TO_CHAR[byte] for byte in range(256)] + ["ab", "Ġab", "12", "<|im_end|>", "<tool>"]
    return {"general.architecture": "llama", "tokenizer.ggml.model": "gpt2",
            "tokenizer.ggml.pre": pre, "tokenizer.ggml.tokens": tokens,
            "tokenizer.ggml.token_type": np.array([NORMAL] * 259 + [CONTROL, USER], np.int32),
            "tokenizer.ggml.merges": ["a b", "Ġ ab", "1 2"],
            "tokenizer.ggml.eos_token_id": np.uint32(259), **more}


def sentencepiece_values(**more):
    tokens, scores, types, prefix = tables()
    return {"tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": tokens,
            "tokenizer.ggml.scores": scores, "tokenizer.ggml.token_type": types,
            "tokenizer.ggml.bos_token_id": np.uint32(1), "tokenizer.ggml.eos_token_id":
            np.uint32(2), "tokenizer.chat_template": "{{ messages }}", **more}


def loaded(tmp_path, values):
    (tmp_path / "m.gguf").write_bytes(gguf(values, {}))
    return bpe.Tokenizer.load(tmp_path / "m.gguf")


@pytest.mark.parametrize("split", foreign.SPLITS)
def test_each_way_to_split_gives_tokenizers_ids(tmp_path, split):
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = loaded(tmp_path, byte_level_values(split))
    assert len(foreign.SPLITS[split]) > 1 or type(tokenizer.codec) is codecs.ByteLevel
    other = tokenizers.Tokenizer.from_str(json.dumps(tokenizer.spec))
    other.encode_special_tokens = True
    for text in ("ab 12  ab\n\n 123ab,ab!12 <tool><|im_end|>", "中文。ab\t\r\n ½ ab's AB'S  "):
        assert tokenizer.encode(text) == other.encode(text, add_special_tokens=False).ids
        assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.encode("<tool>") == [260] and tokenizer.specials == {"<|im_end|>": 259}


def test_what_the_metadata_say_of_special_tokens_is_kept(tmp_path):
    tokenizer = loaded(tmp_path, sentencepiece_values())
    assert (tokenizer.begin, tokenizer.ends) == (1, {2}) and tokenizer.codec.prefix
    assert tokenizer.config["chat_template"] == "{{ messages }}"
    tokenizer = loaded(tmp_path, sentencepiece_values(**{
        "tokenizer.ggml.add_bos_token": np.bool_(False),
        "tokenizer.ggml.add_space_prefix": np.bool_(False),
        "tokenizer.ggml.eot_token_id": np.uint32(0)}))
    assert (tokenizer.begin, tokenizer.ends) == (None, {0, 2}) and not tokenizer.codec.prefix
    assert loaded(tmp_path, byte_level_values()).begin is None


@pytest.mark.parametrize("values", [byte_level_values, sentencepiece_values])
def test_a_tokenizer_of_a_gguf_file_is_saved_as_a_folder(tmp_path, values):
    pytest.importorskip("tokenizers")
    tokenizer = loaded(tmp_path, values())
    tokenizer.save(tmp_path / "folder")
    again = bpe.Tokenizer.load(tmp_path / "folder")
    text = "ab 中文 12\n\n\n<tool>\x04😀"
    assert again.encode(text) == tokenizer.encode(text)
    assert (again.begin, again.ends, again.specials) == (tokenizer.begin, tokenizer.ends,
                                                         tokenizer.specials)


UNFIT = {
    "tokenizer.ggml.model is 'bert', but must be gpt2, llama or t5": {"model": "bert"},
    "tokenizer.ggml.pre is 'magic', but must be one of default,": {"pre": "magic"},
    "tokenizer.ggml.merges is 7, but must be a list": {"merges": np.uint8(7)},
    "there is no token 'zz'": {"merges": ["zz a"]},
    "tokenizer.ggml.token_type is .*, but must have a number for each of": {
        "token_type": np.zeros(3, np.int32)},
    "token_type is .* of tokenizer.ggml.tokens, 7": {"tokens": np.uint8(7)},
    "there are 261 tokens, but only 1 different ones": {"tokens": ["x"] * 261},
    "eos_token_id is 261, but must be below the 261 tokens": {"eos_token_id": np.uint32(261)},
    "bos_token_id is 'x'": {"bos_token_id": "x"},
    "tokenizer.ggml.scores is None, but": {"model": "llama"},
}


@pytest.mark.parametrize("message", UNFIT)
def test_tables_that_do_not_fit_are_refused_by_name(tmp_path, message):
    with pytest.raises(ChatError, match=message) as caught:
        loaded(tmp_path, byte_level_values() | {f"tokenizer.ggml.{key}": item
                                                for key, item in UNFIT[message].items()})
    assert str(tmp_path) in str(caught.value)


# ---- tokenizer.model, vocab.json -----------------------------------------------------------------

def field(number, value):
    """A field of a protocol buffer."""
    def varint(n):
        return bytes([n & 127 | 128]) + varint(n >> 7) if n > 127 else bytes([n])
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def model_file(kind, prefix=True, charsmap=b"", squeeze=False):
    tokens, scores, types, _ = tables()
    pieces = [field(1, field(1, token.encode()) + field(2, float(score)) + field(3, int(which)))
              for token, score, which in zip(tokens, scores, types)]
    return b"".join([*pieces, field(2, field(3, kind)), field(3, field(1, b"identity") + field(
        2, charsmap) + field(3, int(prefix)) + field(4, int(squeeze)))])


@pytest.mark.parametrize("prefix", [True, False])
def test_a_sentencepiece_model_gives_the_same_ids_as_its_tables(tmp_path, prefix):
    (tmp_path / "tokenizer.model").write_bytes(model_file(2, prefix))
    tokenizer, codec = bpe.Tokenizer.load(tmp_path), codecs.SentencePiece(*tables(prefix))
    text = "ab aba  bab\n\n\n中文😀<s></s><tool>"
    assert tokenizer.encode(text) == codec.encode(text)
    assert (tokenizer.begin, tokenizer.ends) == (1, {2})


def test_a_unigram_model_takes_the_likeliest_pieces(tmp_path):
    pytest.importorskip("tokenizers")
    (tmp_path / "tokenizer.model").write_bytes(model_file(1, squeeze=True))
    tokenizer = bpe.Tokenizer.load(tmp_path)
    pieces = [tokenizer.codec.tokens[i].decode() for i in tokenizer.encode("  ab   cab é ")]
    assert "".join(pieces) == " ab cab é"
    assert tokenizer.decode(tokenizer.encode("ab 😀")) == " ab 😀"


@pytest.mark.parametrize("data, message", [
    (b"", "there are no pieces"), (b"\xff" * 20, "no model of Sentence"),
    (model_file(2)[:-3], "no model of Sentence"), (b"\x0b", "of the unknown kind 3"),
    (model_file(2, charsmap=b"x"), "with 1 bytes of rules"), (model_file(4), "its type is 4")])
def test_a_sentencepiece_model_that_is_none_is_refused(tmp_path, data, message):
    (tmp_path / "tokenizer.model").write_bytes(data)
    with pytest.raises(ChatError, match=message):
        bpe.Tokenizer.load(tmp_path)


def test_vocab_json_and_merges_txt_make_a_tokenizer(tmp_path):
    spec = bpe.Tokenizer.from_merges([(97, 98), (256, 99), (32, 257)]).spec
    vocab, merges = spec["model"]["vocab"], spec["model"]["merges"]
    (tmp_path / "vocab.json").write_text(json.dumps(vocab))
    (tmp_path / "merges.txt").write_text(
        "#version: 0.2\n" + "\n".join(map(" ".join, merges)) + "\n")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "Qwen2Tokenizer", "eos_token": "<|im_end|>", "added_tokens_decoder": {
            "259": {"content": "<|im_end|>", "special": True},
            "260": {"content": "<tool>", "special": False}}}))
    tokenizer = bpe.Tokenizer.load(tmp_path)
    assert tokenizer.encode("abc abc<tool><|im_end|>")[:3] == [257, 258, 260]
    assert tokenizer.ends == {259} and tokenizer.vocab_size == 261
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "MagicTokenizer"}')
    with pytest.raises(ChatError, match="tokenizer_class is MagicTokenizer; how it splits"):
        bpe.Tokenizer.load(tmp_path)
