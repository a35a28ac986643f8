"""The tokenizer against Hugging Face's and OpenAI's, and against bad input."""
import copy
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from csrc import cli
from csrc.files import ChatError
from data import bpe as command
from data.tokens import bpe, codecs, learn

REAL = ROOT.parent / "shared" / "real"
relaxed = settings(deadline=None, derandomize="CI" in os.environ, max_examples=200)

NASTY = ["a", "B", "'s", "'LL", "'ſ", " ", "  ", "\n", "\r\n", "\r", "\t", "\v", "\x1c", "\x85",
         "\xa0", "\u200b", "\u2028", "\u3000", "1", "23", "½", "٣", "é", "e\u0301", "ß", "İ", "中文",
         "한", "עִבְרִית", "\u202e", "👩‍👩‍👧", "🏳️‍🌈", "\ufeff", "\ufffd", "\0", "_", "^^", "...",
         "!\n", "<|", "<|endoftext|>", "<|im_", "end|>", "<think>", "\U0010ffff", "𝒳"]
nasty_text = st.one_of(st.text(), st.lists(st.sampled_from(NASTY)).map("".join))


@pytest.fixture(scope="module")
def tokenizer():
    texts = [Path(bpe.__file__).read_text(encoding="utf-8"), "".join(NASTY) * 3, "né 中文 한국어 " * 9]
    return bpe.learn(learn.count_chunks(texts), 1200)


@pytest.fixture(scope="module")
def spec():
    """The tokenizer.json of a small vocabulary, to be spoilt."""
    return bpe.Tokenizer.from_merges([(97, 98), (256, 99), (32, 257)]).spec


@pytest.fixture(scope="module")
def reference(tokenizer):
    return huggingface(tokenizer.spec)


def huggingface(spec):
    """The `tokenizers` library's reading of a tokenizer.json, special tokens as plain text."""
    tokenizers = pytest.importorskip("tokenizers")
    other = tokenizers.Tokenizer.from_str(json.dumps(spec))
    other.encode_special_tokens = True
    return lambda text: other.encode(text, add_special_tokens=False).ids


# ----------------------------------------------------------------------------------------- Encoding

@relaxed
@given(nasty_text)
def test_text_comes_back_and_holds_no_special_token(tokenizer, text):
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.byte_lengths[np.array(ids, int)].sum() == len(text.encode())
    assert not set(ids) & set(tokenizer.specials.values())


@relaxed
@given(nasty_text)
def test_ids_are_those_of_huggingface(tokenizer, reference, text):
    assert tokenizer.encode(text) == reference(text)


def test_every_character_is_split_as_huggingface_and_the_trainer_split_it(tokenizer, reference):
    codes = [*range(0x3100), *range(0x3100, 0xD800, 31), *range(0xF900, 0x110000, 101)]
    for first in range(0, len(codes), 64):
        characters = map(chr, codes[first : first + 64])
        text = "".join(f"a{c}b {c}1{c} !{c}\n{c}'{c}s" for c in characters)
        ids = tokenizer.encode(text)
        assert ids == reference(text)
        chunks = regex.findall(bpe.PATTERN, text)
        assert ids == [i for chunk in chunks for i in tokenizer.codec.encode_chunk(chunk.encode())]


def test_all_pairs_of_bytes_come_back(tokenizer):
    pairs = [bytes([a, b]) for a in range(256) for b in range(256)]
    assert all(tokenizer.decode_bytes(list(pair)) == pair for pair in pairs)
    assert all(tokenizer.decode_bytes(tokenizer.codec.encode_chunk(pair)) == pair for pair in pairs)
    texts = [pair.decode("latin-1") for pair in pairs]
    assert list(map(tokenizer.decode, tokenizer.encode_batch(texts))) == texts


def test_a_million_random_bytes_come_back(tokenizer):
    data = np.random.default_rng(0).bytes(1 << 20)
    assert tokenizer.decode_bytes(tokenizer.codec.encode_chunk(data)) == data
    assert tokenizer.decode(tokenizer.encode(data.decode("latin-1"))) == data.decode("latin-1")
    for overlong in (b"\xc0\xaf", b"\xe0\x80\xaf", b"\xed\xa0\x80"):
        assert set(tokenizer.decode(tokenizer.codec.encode_chunk(overlong))) == {"\ufffd"}


@pytest.mark.parametrize("unit", ["a", "^", " ", "\n", "_", " \n", "\u3000", "é", "ab ", "\t"])
def test_a_million_of_the_same_come_back_and_match_huggingface(tokenizer, reference, unit):
    text = unit * (1_000_000 // len(unit))
    for text in (text, text + "x"):
        ids = tokenizer.encode(text)  # quadratic time would not end, tiktoken alone would panic
        assert tokenizer.decode(ids) == text
    assert tokenizer.encode(text[-150_000:]) == reference(text[-150_000:])


def test_long_blanks_inside_a_text_change_nothing_else(tokenizer):
    for count in (codecs.BLANKS - 1, codecs.BLANKS, 2 * codecs.BLANKS, 3 * codecs.BLANKS + 1):
        text = "It's\n" + " " * count + "here!\n\n" + "\t" * count + "\n<think>"
        assert tokenizer.encode(text) == tokenizer.codec.encoding.encode_ordinary(text)


def test_lone_surrogates_become_replacement_characters(tokenizer):
    assert tokenizer.decode(tokenizer.encode("a\ud800b\udfff")) == "a\ufffdb\ufffd"
    assert tokenizer.decode(tokenizer.encode("\ud83d\ude00")) == "😀"
    blanks = " " * 2 * codecs.BLANKS
    assert tokenizer.decode(tokenizer.encode(blanks + "\ud800")) == blanks + "\ufffd"


def test_a_batch_is_encoded_as_its_texts_are(tokenizer):
    texts = ["", "one", "two two", *NASTY]
    for threads in (None, 1, 3, 1000):
        assert tokenizer.encode_batch(texts, threads) == [tokenizer.encode(text) for text in texts]
    assert tokenizer.encode_batch([]) == []


def test_special_tokens_stand_at_the_end_and_are_no_bytes_of_text(tokenizer):
    assert len(set(bpe.SPECIALS)) == 32
    ids = [tokenizer.special(name) for name in bpe.SPECIALS]
    assert ids == list(range(tokenizer.vocab_size - 32, tokenizer.vocab_size))
    assert tokenizer.begin == tokenizer.special("<|endoftext|>") == ids[0]
    assert tokenizer.byte_lengths[ids].tolist() == [0] * 32
    assert tokenizer.byte_lengths[:256].tolist() == [1] * 256
    assert tokenizer.decode(ids[:2]) == "<|endoftext|><|im_start|>"


def test_unknown_ids_and_names_are_errors_that_name_them(tokenizer):
    with pytest.raises(ValueError, match=r"no special token '<\|nope\|>'"):
        tokenizer.special("<|nope|>")
    for bad in (-1, tokenizer.vocab_size, 10**30):
        with pytest.raises(ValueError, match=f"token {bad} is outside the vocabulary of"):
            tokenizer.decode([0, bad])


# ----------------------------------------------------------------------------- Hugging Face folders

def test_a_saved_tokenizer_loads_as_the_same(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "deep" / "er")
    again = bpe.Tokenizer.load(tmp_path / "deep" / "er")
    assert (again.spec, again.config) == (tokenizer.spec, tokenizer.config) and again.ours
    assert (again.byte_lengths == tokenizer.byte_lengths).all()
    config = json.loads((tmp_path / "deep/er/tokenizer_config.json").read_text())
    template = (tmp_path / "deep/er/chat_template.jinja").read_text()
    assert config["chat_template"] == template == bpe.CHAT_TEMPLATE
    assert sorted(path.name for path in (tmp_path / "deep/er").iterdir()) == sorted(bpe.FILES)


def test_the_chat_template_writes_chatml():
    jinja2 = pytest.importorskip("jinja2")
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)  # as transformers does
    template = environment.from_string(bpe.CHAT_TEMPLATE)
    parts = [{"type": "text", "text": " b"}, {"type": "image"}, {"type": "text", "text": "c\n"}]
    messages = [{"role": "system", "content": None}, {"role": "user", "content": parts},
                {"role": "assistant", "content": "\nhi"}]
    turns = ("<|endoftext|><|im_start|>system\n<|im_end|>\n<|im_start|>user\n bc\n<|im_end|>\n"
             "<|im_start|>assistant\n\nhi<|im_end|>\n")
    assert template.render(messages=messages) == turns
    assert (template.render(messages=messages, add_generation_prompt=True)
            == turns + "<|im_start|>assistant\n")


VARIANTS = {
    "merges as strings": lambda s: s["model"].update(
        merges=[" ".join(pair) for pair in s["model"]["merges"]]),
    "Qwen2's normalizer": lambda s: s.update(normalizer={"type": "NFC"}),
    "Llama 3's ignored merges": lambda s: s["model"].update(ignore_merges=True),
    "a split by removal": lambda s: s["pre_tokenizer"]["pretokenizers"][0].update(
        behavior="Removed", invert=True),
    "GPT-2's split": lambda s: s.update(pre_tokenizer=GPT2_SPLIT),
    "digits, then GPT-2's split": lambda s: s.update(pre_tokenizer=steps(DIGITS, GPT2_SPLIT)),
    "texts to be found": lambda s: s["added_tokens"].extend(texts_to_find(len(ids_of(s)))),
}
# What tiktoken cannot do, and the library tokenizers does.
OTHERS = {
    "ids in another order": lambda s: s["model"]["merges"].append(["a", "b"]),
    "a token that no merge makes": lambda s: s["model"]["vocab"].update(abz=291),
    "a token in other letters": lambda s: s["model"]["vocab"].update({"中": 291}),
    "byte_fallback": lambda s: s["model"].update(byte_fallback=True),
    "stripped texts": lambda s: s.update(normalizer={"type": "Strip", "strip_left": True,
                                                     "strip_right": True}),
    "no split": lambda s: s.update(pre_tokenizer=None),
    "two splits": lambda s: s["pre_tokenizer"]["pretokenizers"][1].update(use_regex=True),
    "digits after the split": lambda s: s.update(pre_tokenizer=steps(GPT2_SPLIT, DIGITS)),
    "digits by groups": lambda s: s.update(pre_tokenizer=steps(
        {**DIGITS, "individual_digits": False}, GPT2_SPLIT)),
    "a space in front": lambda s: s["pre_tokenizer"]["pretokenizers"][1].update(
        add_prefix_space=True),
    "texts to be found with blanks around": lambda s: s["added_tokens"].extend(
        {**token, "lstrip": True, "rstrip": True} for token in texts_to_find(len(ids_of(s)))),
    "texts to be found after NFC": lambda s: (s.update(normalizer={"type": "NFC"}), s[
        "added_tokens"].extend({**t, "normalized": True} for t in texts_to_find(len(ids_of(s))))),
}
GPT2_SPLIT = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
              "use_regex": True}
DIGITS = {"type": "Digits", "individual_digits": True}


def steps(*all_of):
    return {"type": "Sequence", "pretokenizers": [*all_of]}


def ids_of(spec):
    return {*spec["model"]["vocab"].values(), *(token["id"] for token in spec["added_tokens"])}


def texts_to_find(first):
    """Added tokens that are not special, one of which begins as another does."""
    texts = ["<tool>", "\n\n", "\n\n\n", "éé"]
    return [{"id": first + i, "content": text, "single_word": False, "lstrip": False,
             "rstrip": False, "normalized": False, "special": False}
            for i, text in enumerate(texts)]


@pytest.mark.parametrize("variant", [*VARIANTS, *OTHERS])
def test_other_forms_of_byte_level_bpe_give_huggingface_s_ids(spec, tokenizer, variant):
    spec = copy.deepcopy(tokenizer.spec if variant in VARIANTS else spec)
    (VARIANTS | OTHERS)[variant](spec)
    loaded, other = bpe.Tokenizer(spec, {}), huggingface(spec)
    assert type(loaded.codec) is (codecs.ByteLevel if variant in VARIANTS else codecs.Tokenizers)
    for text in ("".join(NASTY), "".join(reversed(NASTY)), "It's 1234 o'clock\n\n  here   \n\n x",
                 "a \n\n\n\n\nb <tool> end|><|im_end|>  1 2  3\n4 a12 bc abc  abz",
                 "e\u0301éé \ud800"):
        ids = loaded.encode(text)
        assert ids == other(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
        assert not {*ids} & {*loaded.specials.values()}


def test_a_model_without_endoftext_begins_with_its_bos_token(spec):
    spec = copy.deepcopy(spec)
    spec["added_tokens"][0]["content"] = "<|begin_of_text|>"
    for bos in ("<|begin_of_text|>", {"content": "<|begin_of_text|>"}):
        assert bpe.Tokenizer(spec, {"bos_token": bos}).begin == 259
    assert bpe.Tokenizer(spec, {}).begin is None and not bpe.Tokenizer(spec, {}).ours


def test_real_text_in_many_languages_gives_huggingface_s_ids(tokenizer, reference):
    texts = sorted((REAL / "text").glob("*.*")) + sorted((REAL / "web/langid/sentences").glob("*"))
    if not texts:
        pytest.skip(f"{REAL} is absent")
    for path in texts:
        text = path.read_text(encoding="utf-8")[:30_000]
        assert tokenizer.encode(text) == reference(text), path


# ------------------------------------------------------------------------------- Unsound tokenizers

def drop(key):
    return lambda s: s.pop(key)


SPOILT = {
    "there is no token 'zz'": lambda s: s["model"]["merges"].append(["z", "z"]),
    "the token 'z' is added with the id 291, but has": lambda s: s["added_tokens"].append(
        {**s["added_tokens"][0], "content": "z", "id": 291}),
    "there is no token 'zzz'": lambda s: s["model"]["merges"].insert(0, "zzz a"),
    "'B' and 'b' both have the id 66": lambda s: s["model"]["vocab"].update(b=66),
    "both have the id 256": lambda s: s["added_tokens"][3].update(id=256),
    "no token has the id 120, but there are ids up to 1000000000000":
        lambda s: s["model"]["vocab"].update(x=10**12),
    "has the id -1": lambda s: s["model"]["vocab"].update(x=-1),
    "has the id '7'": lambda s: s["model"]["vocab"].update(x="7"),
    "has the id True": lambda s: s["model"]["vocab"].update(x=True),
    "has the id 1.0": lambda s: s["model"]["vocab"].update(x=1.0),
    "the model WordPiece with the dropout None is not supported":
        lambda s: s["model"].update(type="WordPiece"),
    "the model BPE with the dropout 0.1 is not": lambda s: s["model"].update(dropout=0.1),
    "tokenizers does not read it": lambda s: s.update(pre_tokenizer={"type": "Magic"}),
    "malformed tokenizer (KeyError('model'))": drop("model"),
    "malformed tokenizer (AttributeError": lambda s: s["model"].update(vocab=[1]),
    "malformed tokenizer (TypeError": lambda s: s["model"].update(merges=None),
    "not enough values to unpack": lambda s: s["model"]["merges"].append("ab"),
}


@pytest.mark.parametrize("message", SPOILT)
def test_an_unsound_tokenizer_is_refused_with_the_reason(spec, tmp_path, message):
    spec = copy.deepcopy(spec)
    SPOILT[message](spec)
    (tmp_path / "tokenizer.json").write_text(json.dumps(spec))
    with pytest.raises(ValueError) as caught:
        bpe.Tokenizer.load(tmp_path)
    assert message in str(caught.value) and str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("pattern, text", [
    (r"(?:a|a)*(?=c)|.", "a" * 40 + "b"), (r"(?:\s|\s)*b|.", " " * 70_000 + "c"), ("x*", "abc é"),
    ("b*", "abc é"), ("", "abc é"), ("(?R)|.", "abc"), ("(", "abc"), ("[" * 3000, "abc"),
    ("a" * 100_000, "abc"), (r"\p{Nope}", "abc"), (".*x|.", "a" * 100_000),
    ("(?:x+x+)+y|.", "x" * 5000), (r"(?<=(a|aa)*)b|.", "a" * 500 + "b"), (5, "abc"), (None, "abc")])
def test_any_pattern_loses_no_text_or_is_refused_in_time(spec, tmp_path, monkeypatch, pattern,
                                                         text):
    monkeypatch.setattr(codecs, "PATIENCE", (0.5, 1e-6))
    spec = copy.deepcopy(spec)
    spec["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = pattern
    (tmp_path / "tokenizer.json").write_text(json.dumps(spec))
    try:
        tokenizer = bpe.Tokenizer.load(tmp_path)
        assert tokenizer.decode(tokenizer.encode(text)) == text
    except ChatError as error:
        assert "tokeniz" in str(error) and len(str(error)) < 1000


@pytest.mark.parametrize("eos", [{}, [], {"content": 7}, 7, True])
def test_an_end_that_is_no_name_is_refused_or_none(spec, eos):
    try:
        assert bpe.Tokenizer(spec, {"eos_token": eos}).ends == bpe.Tokenizer(spec, {}).ends
    except ChatError as error:
        assert "eos_token is" in str(error)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b"7", b"[" * 100_000, b"null"])
def test_a_tokenizer_file_that_is_no_json_object_is_a_clear_error(tmp_path, content):
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(ValueError, match="tokenizer"):
        bpe.Tokenizer.load(tmp_path)


@pytest.mark.parametrize("content, said", [
    ({"eos_token": {}}, "eos_token is {}"), ({"eos_token": []}, "eos_token is []"),
    ({"eos_token": 2}, "eos_token is 2"), ({"bos_token": {"content": [1]}}, "bos_token is {"),
    ({"bos_token": True}, "bos_token is True"), ({"eot_token": 5}, "eot_token is 5"),
    ([], "holds [], but must hold an object"),
    ("text", "holds 'text', but must hold an object")])
def test_a_configuration_of_the_wrong_kind_is_refused(tokenizer, tmp_path, content, said):
    tokenizer.save(tmp_path)
    (tmp_path / "chat_template.jinja").unlink(missing_ok=True)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(content))
    with pytest.raises(ChatError) as caught:
        bpe.Tokenizer.load(tmp_path)
    assert said in str(caught.value) and str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("template", [[{"name": "default", "template": "x"}], 7, ""])
def test_a_chat_template_that_is_no_text_stays_where_it_is(tokenizer, tmp_path, template):
    bpe.Tokenizer(tokenizer.spec, {**tokenizer.config, "chat_template": template}).save(tmp_path)
    assert bpe.Tokenizer.load(tmp_path).config["chat_template"] == template


def test_a_token_of_a_million_bytes_does_no_harm(tmp_path):
    merges = [(97, 97)] + [(256 + i, 256 + i) for i in range(19)]
    bpe.Tokenizer.from_merges(merges).save(tmp_path)
    tokenizer = bpe.Tokenizer.load(tmp_path)
    assert tokenizer.byte_lengths.max() == 2**20
    assert tokenizer.encode("a" * 2**20) == [275]


# --------------------------------------------------------------------------------- The command line

def run_train(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["data/bpe.py", "train", *map(str, arguments)])
    cli.run(lambda: cli.dispatch("", command.COMMANDS))


def test_the_command_trains_and_tells_bytes_per_token(monkeypatch, tmp_path, capsys):
    run_train(monkeypatch, ROOT / "data" / "bpe.py", "--vocab-size", 400, "--out", tmp_path / "t")
    assert "400 tokens, " in capsys.readouterr().out
    assert bpe.Tokenizer.load(tmp_path / "t").vocab_size == 400
    with pytest.raises(SystemExit, match="holds a tokenizer already"):
        run_train(monkeypatch, ROOT / "README.md", "--vocab-size", 300, "--out", tmp_path / "t")
    assert bpe.Tokenizer.load(tmp_path / "t").vocab_size == 400


@pytest.mark.parametrize("content, size, message", [
    (None, 4096, "no such file or folder"),
    (b"", 4096, "empty, there is no document in it"),
    (b"a\0b", 4096, "byte 1 is zero"),
    (b"caf\xe9 ol\xe9", 4096, "not UTF-8 at byte 3"),
    (b"text", 287, "--vocab-size is 287, but must be in [288, inf)"),
])
def test_bad_input_ends_the_command_with_one_sentence(
        monkeypatch, tmp_path, content, size, message):
    path = tmp_path / "input.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SystemExit) as caught:
        run_train(monkeypatch, path, "--vocab-size", size, "--out", tmp_path / "out")
    assert message in caught.value.code and "\n" not in caught.value.code
    assert not (tmp_path / "out").exists()


def test_the_script_runs_by_itself_and_exits_with_1():
    command = [sys.executable, ROOT / "data" / "bpe.py", "train", "absent", "--out", "x"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr == "bpe.py: absent: no such file or folder\n"
