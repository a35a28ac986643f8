"""OpenAI's vocabularies against tiktoken and Hugging Face's tokenizers."""
import hashlib
import json
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import pytest
import tiktoken
import tiktoken.load
from hypothesis import given, settings
from hypothesis import strategies as st
from test_bpe import NASTY, REAL, huggingface, nasty_text

from data.tokens import bpe, learn, openai, shards, vocabulary

FOLDER = REAL / "tokenizers"
PATHS = {"gpt2": FOLDER / "gpt2" / "encoder.json",
         **{name: FOLDER / "openai" / f"{name}.tiktoken" for name in ("cl100k_base", "o200k_base")}}
TEXTS = ["hello world", "It's 1234 o'clock\n\n  here   \n\n x", "'S 'ſ 'LL", "end \n \t", "!\n/x\n",
         "ABCdef'Re ǅx ʰ", "12345678 ½٣٤٥٦", " \r\n \r", "".join(NASTY), "".join(reversed(NASTY))]
relaxed = settings(max_examples=50)
hard_text = st.one_of(nasty_text, st.text("aBǅʰ中\u0301'sSſ1½ \t\r\n\xa0/!_"))


@pytest.fixture(scope="module", params=PATHS)
def name(request):
    if not PATHS[request.param].exists():
        pytest.skip(f"{PATHS[request.param]} is absent")
    return request.param


@pytest.fixture(scope="module")
def tokenizer(name):
    return bpe.Tokenizer.load(PATHS[name])


@pytest.fixture(scope="module")
def official(name, tmp_path_factory):
    """tiktoken's own encoding, from a cache with the files under the names it looks for."""
    folder = tmp_path_factory.mktemp("cache")
    fill_cache(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIKTOKEN_CACHE_DIR", str(folder))
        return tiktoken.get_encoding(name)


def fill_cache(folder):
    server = "https://openaipublic.blob.core.windows.net/"
    for path, url in ((PATHS["gpt2"], "gpt-2/encodings/main/encoder.json"),
                      (PATHS["gpt2"].with_name("vocab.bpe"), "gpt-2/encodings/main/vocab.bpe"),
                      (PATHS["cl100k_base"], "encodings/cl100k_base.tiktoken"),
                      (PATHS["o200k_base"], "encodings/o200k_base.tiktoken")):
        (folder / hashlib.sha1((server + url).encode()).hexdigest()).symlink_to(path)


def test_every_text_has_the_ids_of_tiktoken(tokenizer, official):
    @relaxed
    @given(hard_text)
    def check(text):
        ids = tokenizer.encode(text)
        assert ids == official.encode_ordinary(text) and tokenizer.decode(ids) == text

    check()
    for text in TEXTS:
        assert tokenizer.encode(text) == official.encode_ordinary(text)


def test_every_character_has_the_ids_of_tiktoken(tokenizer, official):
    codes = [*range(0x3100), *range(0x3100, 0xD800, 31), *range(0xF900, 0x110000, 101)]
    for first in range(0, len(codes), 64):
        characters = map(chr, codes[first : first + 64])
        text = "".join(f"a{c}b {c}1{c} !{c}\n{c}'{c}s{c}/" for c in characters)
        assert tokenizer.encode(text) == official.encode_ordinary(text)


def test_long_blanks_have_the_ids_of_tiktoken_s_chunks(tokenizer, official):
    for text in (" " * 200_000, "\n" * 200_000 + "x", "a\n" + " \n" * 150_000 + "  "):
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == text
        assert ids == official.encode_ordinary(text)


def test_sizes_and_special_tokens_are_tiktoken_s(name, tokenizer, official):
    sizes = {"gpt2": 50257, "cl100k_base": 100_277, "o200k_base": 200_019}
    assert tokenizer.vocab_size == official.n_vocab == sizes[name]
    for special, i in official._special_tokens.items():
        assert tokenizer.special(special) == i and tokenizer.decode([i]) == special
        assert i not in tokenizer.encode(f"{special} {special}")
    unused = {special: i for special, i in tokenizer.specials.items()
              if special not in official._special_tokens}
    assert all(special == f"<|unused_{i}|>" for special, i in unused.items())
    assert len(unused) == {"gpt2": 0, "cl100k_base": 16, "o200k_base": 19}[name]
    assert tokenizer.begin == tokenizer.special("<|endoftext|>")
    hello = {"gpt2": 31373, "cl100k_base": 15339, "o200k_base": 24912}  # tiktoken's documentation
    assert tokenizer.encode("hello") == [hello[name]]


def test_the_saved_folder_gives_the_same_ids_in_huggingface_s_tokenizers(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    spec = json.loads((tmp_path / "tokenizer.json").read_bytes())
    assert spec == tokenizer.spec
    other = huggingface(spec)
    paths = sorted((REAL / "text").glob("*.*")) + sorted((REAL / "web/langid/sentences").glob("*"))
    for text in TEXTS + [path.read_text(encoding="utf-8")[:3_000] for path in paths]:
        assert tokenizer.encode(text) == other(text)


def test_the_merges_that_are_found_are_those_that_gpt2_was_trained_with():
    if not PATHS["gpt2"].exists():
        pytest.skip(f"{PATHS['gpt2']} is absent")
    path = PATHS["gpt2"].with_name("vocab.bpe")
    lines = path.read_text(encoding="utf-8").splitlines()[1:]
    assert bpe.Tokenizer.load(path).spec["model"]["merges"] == [line.split() for line in lines]


def test_merges_are_found_again_from_ranks_alone():
    tokenizer = bpe.learn(learn.count_chunks([Path(bpe.__file__).read_text(encoding="utf-8")]), 900)
    ranks = {token: i for token, i in vocabulary.read_vocabulary(tokenizer.spec).items()}
    merges = tokenizer.spec["model"]["merges"]
    assert [["".join(map(vocabulary.TO_CHAR.get, part)) for part in pair]
            for pair in openai.find_merges(ranks)] == merges


def test_names_are_found_in_tiktoken_s_cache(name, tmp_path, monkeypatch):
    fill_cache(tmp_path)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    assert openai.fetch(name, openai.KNOWN[name]) == PATHS[name].read_bytes()


def test_without_a_network_a_sentence_says_which_file_to_fetch(tmp_path, monkeypatch):
    def refuse(url):
        raise ConnectionError("unreachable")
    monkeypatch.setattr(tiktoken.load, "read_file", refuse)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    for name in PATHS:
        with pytest.raises(OSError) as caught:
            bpe.Tokenizer.load(name)
        said = str(caught.value)
        url = re.search(r"https://openaipublic\.blob\.core\.windows\.net/\S+", said)[0]
        assert str(tmp_path / hashlib.sha1(url.encode()).hexdigest()) in said
        assert said.startswith(f"{name} is not in tiktoken's cache") and "\n" not in said


@pytest.mark.parametrize("content", [b"", b"aGVsbG8= 0\n", b"{}", b"\xff\xfe"])
def test_a_file_that_is_not_one_of_openai_s_is_refused(tmp_path, content):
    path = tmp_path / "other.tiktoken"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="other.tiktoken: not the file of gpt2, cl100k_base, "):
        bpe.Tokenizer.load(path)


def test_a_vocabulary_with_one_bit_flipped_is_refused(tmp_path):
    if not PATHS["gpt2"].exists():
        pytest.skip(f"{PATHS['gpt2']} is absent")
    shutil.copy(PATHS["gpt2"].with_name("vocab.bpe"), tmp_path)
    with pytest.raises(FileNotFoundError, match="encoder.json"):
        bpe.Tokenizer.load(tmp_path / "vocab.bpe")
    data = bytearray(PATHS["gpt2"].read_bytes())
    data[1000] ^= 1
    (tmp_path / "encoder.json").write_bytes(data)
    with pytest.raises(ValueError, match="not the file of"):
        bpe.Tokenizer.load(tmp_path / "vocab.bpe")


def test_a_folder_goes_before_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bpe.Tokenizer.from_merges([]).save(tmp_path / "gpt2")
    assert bpe.Tokenizer.load("gpt2").vocab_size == 288


def test_shards_are_made_with_a_name_or_a_file(tmp_path, monkeypatch):
    if not PATHS["gpt2"].exists():
        pytest.skip(f"{PATHS['gpt2']} is absent")
    fill_cache(tmp_path)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    (tmp_path / "a.txt").write_text("hello world <|endoftext|>")
    made = [shards.prepare(tmp_path / "a.txt", tmp_path / "cache", tokenizer=tokenizer, held_out=0)
            for tokenizer in ("gpt2", PATHS["gpt2"])]
    assert made[0] != made[1]
    for folder in made:
        tokens = shards.open_shard(folder / "train-00000.bin")
        assert tokens[:3].tolist() == [50256, 31373, 995]
        gpt2 = bpe.Tokenizer.load(folder)
        assert gpt2.vocab_size == 50257 and gpt2.decode(tokens[1:]) == "hello world <|endoftext|>"
