"""Each rule just below and just above its threshold; words and verdicts beside other programs'."""

import json
import random
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from data.crawl import filters, personal
from data.crawl.filters import (SplitText, bad_words, c4, fineweb, gopher_quality,
                                gopher_repetition, url_filter)

REAL = ROOT.parent / "shared" / "real"
ANYTHING = st.text(st.characters() | st.sampled_from(" \n.,'-!?()/:@0123456789aInt\0\ud800"))


def prose(count, seed=0, letters=5):
    """Distinct words, `count` of them in one line, of which none is a stop word."""
    rng = random.Random(seed)
    words = set()
    while len(words) < count:
        words.add("".join(rng.choices("bcdfghjklmnpqrvz", k=letters)))
    return sorted(words)


# -------------------------------------------------------------------------------------------- Words

@pytest.mark.parametrize("text, words", [
    ("Don't you think it's Mr. Smith's, Dr. Jones?",
     "Do n't you think it 's Mr. Smith 's , Dr. Jones ?"),
    ("I can’t: they'd've come in Jan., at 5 p.m., to the U.S.!",
     "I ca n’t : they 'd 've come in Jan. , at 5 p.m. , to the U.S. !"),
    ("The dark-blue (almost black) sea--or 3.5% of 1,234,567km²...",
     "The dark - blue ( almost black ) sea -- or 3.5 % of 1,234,567 km² ..."),
    ("See https://a.org/a,b?c=d#e; mail me@b.org, or b.org.",
     "See https://a.org/a,b?c=d#e ; mail me@b.org , or b.org ."),
    ("10kg, $30 or 30€; 12-13, 12:30, 2019/05/06 and/or A/B",
     "10 kg , $ 30 or 30 € ; 12 - 13 , 12:30 , 2019/05/06 and/or A / B"),
    ("“No,” he said. ‘Why?’ “Nothing.” :)", "“ No , ” he said . ‘ Why ? ’ “ Nothing . ” :)"),
    ("The end.Next: cannot, gonna, let's, dont, Im in.",
     "The end . Next : can not , gon na , let 's , do nt , I m in ."),
    ("x=1, a=b; its well, ill-kept, goin' on", "x=1 , a = b ; its well , ill - kept , goin' on"),
    ("这是一个句子。没有空格，真的。", "这是一个句子。没有空格，真的 。"),
    ("", ""), (" \n\t\u3000", ""), ("---", "---"), ("!?!", "! ? !"), ("a\0b\xa0c", "a\0b c")])
def test_words_are_split_as_spacy_splits_english(text, words):
    assert SplitText(text).words == words.split(" ") * (words != "")


@given(ANYTHING)
@example("a" * 1000)
def test_words_are_the_text_without_its_blanks(text):
    words = SplitText(text).words
    assert "".join(words) == "".join(text.split())
    assert all(words) and max(map(len, words), default=0) <= filters.LONGEST


# ------------------------------------------------------------------------------------------ n-grams

def slow_ngrams(words):
    """As datatrove counts them: in strings."""
    top, again = [], []
    for n in (2, 3, 4):
        counts = Counter(" ".join(words[i : i + n]) for i in range(len(words) - n + 1))
        gram, count = counts.most_common(1)[0] if counts else ("", 0)
        top.append(len(gram) * count)
    for n in range(5, 11):
        seen, letters, i = set(), 0, 0
        while i + n <= len(words):
            gram = "".join(words[i : i + n])
            letters += len(gram) * (gram in seen)
            i += n if gram in seen else 1
            seen.add(gram)
        again.append(letters)
    return top, again


@given(st.lists(st.sampled_from(["a", "b", "ab", "ba", "aab", "é", "\0", "\0\0", "\ud800"]),
                max_size=60) | st.lists(st.text("ab", min_size=1), max_size=200))
@example([])
@example(["a"] * 1000)
def test_ngrams_in_c_are_those_of_strings(words):
    top, again = filters.ngrams(words)
    assert (top.tolist(), again.tolist()) == slow_ngrams(words)


# ------------------------------------------------------------------------------------------- Gopher

FREE = dict(paragraphs=1, paragraph_letters=1, lines=1, line_letters=1, top=(9,) * 3,
            again=(1,) * 6)


def repeated(separator, parts, times, letters=7):
    """`parts` parts, of which `times` are repetitions; all have as many letters."""
    distinct = prose(parts - times, letters=letters)
    return separator.join(distinct + [distinct[-1]] * times)


def repeated_words(n, words, times):
    """`words` words of five letters, in which n of them in a row occur 1 + `times` times."""
    distinct = iter(prose(words - n * times))
    gram = [next(distinct) for _ in range(n)]
    rest = list(distinct)
    step = len(rest) // (times + 1)
    out = []
    for i in range(times + 1):
        out += gram + rest[i * step : (i + 1) * step]
    return out + rest[(times + 1) * step :]


def test_repetition_of_paragraphs_and_lines():
    for what, separator in (("paragraphs", "\n\n"), ("lines", "\n")):
        rule = {**FREE, what: 0.30}
        assert gopher_repetition(SplitText(repeated(separator, 20, 6)), **rule) is None
        assert gopher_repetition(SplitText(repeated(separator, 20, 7)), **rule) == (
            f"repeated {what} over 30 %")
        name = what[:-1] + "_letters"
        rule, text = {**FREE, name: 0.20}, repeated(separator, 12, 4)
        fits = "z" * (5 * 4 * 7 - len(text)) + text          # 4 of 7 letters are a fifth of it
        assert gopher_repetition(SplitText(fits), **rule) is None
        assert gopher_repetition(SplitText(fits[1:]), **rule) == \
            f"text in repeated {what} over 20 %"
    assert gopher_repetition(SplitText("")) == "no text"


@pytest.mark.parametrize("n, most", [(2, 0.20), (3, 0.18), (4, 0.16)])
def test_repetition_of_the_top_ngram(n, most):
    rule = {**FREE, "top": tuple(most if i == n else 9 for i in (2, 3, 4))}
    words = " ".join(repeated_words(n, 40, 4))
    letters = 5 * (6 * n - 1)                                # 5 occurrences of 6n - 1 letters
    size = -(-letters * 100 // round(100 * most))            # the shortest text that may have them
    assert len(words) < size
    assert gopher_repetition(SplitText(words + " " * (size - len(words))), **rule) is None
    short = SplitText(words + " " * (size - 1 - len(words)))
    assert gopher_repetition(short, **rule) == f"top {n}-gram over {most:.0%}".replace("%", " %")


@pytest.mark.parametrize("n, most", [(5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11),
                                     (10, 0.10)])
def test_repetition_of_long_ngrams(n, most):
    rule = {**FREE, "again": tuple(most if i == n else 1 for i in range(5, 11))}
    size = -(-5 * n * 100 // round(100 * most))
    words = " ".join(repeated_words(n, size // 6, 1))
    assert gopher_repetition(SplitText(words + " " * (size - len(words))), **rule) is None
    short = SplitText(words + " " * (size - 1 - len(words)))
    assert gopher_repetition(short, **rule) == f"repeated {n}-grams over {most:.0%}".replace(
        "%", " %")


def good(count=100):
    """What passes gopher_quality."""
    return prose(count - 2) + ["the", "of"]


def joined(*parts):
    return SplitText(" ".join(word for part in parts for word in part))


@pytest.mark.parametrize("passes, fails, reason", [
    (joined(good(50), ["."] * 9), joined(good(49), ["."] * 9), "fewer than 50 words"),
    (joined(good(100_000)), joined(good(100_001)), "more than 100000 words"),
    (joined(["the", "of"], ["abc"] * 96, ["abcd"] * 1), joined(["the", "of"], ["abc"] * 97),
     "mean word shorter than 3"),
    (joined(["the", "of", "a" * 25], ["b" * 10] * 97), joined(["the", "of"], ["b" * 10] * 97,
     ["a" * 26]), "mean word longer than 10"),
    (joined(good(90), ["#"] * 10), joined(good(90), ["#"] * 11), "hash signs over 10 %"),
    (joined(good(90), ["..."] * 5, ["…"] * 5, ["end"]), joined(good(89), ["..."] * 11, ["end"]),
     "ellipses over 10 %"),
    (SplitText("\n".join(["- " + " ".join(good())] * 9 + ["x"])),
     SplitText("\n".join(["- " + " ".join(good())] * 8 + [" • " + " ".join(good())] * 11 + ["x"])),
     "lines with a bullet over 90 %"),
    (SplitText("\n".join([" ".join(good()) + "..."] * 3 + ["x"] * 7)),
     SplitText("\n".join([" ".join(good()) + "… "] * 4 + ["x"] * 6)),
     "lines with an ellipsis over 30 %"),
    (joined(good(80), ["12345"] * 20), joined(good(80), ["12345"] * 21),
     "words with a letter under 80 %"),
    (joined(prose(98), ["have", "with"]), joined(prose(98), ["have", "have", "The"]),
     "fewer than 2 stop words"),
], ids=lambda value: value if type(value) is str else "")
def test_quality(passes, fails, reason):
    assert gopher_quality(passes) is None
    assert gopher_quality(fails) == reason


# ----------------------------------------------------------------------------------------------- C4

def test_c4_drops_lines_then_counts_sentences():
    lines = ["One is here. Two is here.[12]", "Please enable JavaScript to read. All of it.",
             "Three it is.  Four it is!", "too short.", "We have a Privacy Policy. Read it. Now.",
             "word " + "x" * 1001 + " is too long. Much too long.", "Five has no end"]
    text, why = c4(SplitText("\n".join(lines)))
    assert why is None and type(text) is SplitText
    assert text == "One is here. Two is here.\nThree it is.  Four it is!\nFive has no end"
    assert c4(SplitText("\n".join(lines[:-1])))[1] == "fewer than 5 sentences"
    assert c4(SplitText("\n".join(lines)), terminal=True)[1] == "fewer than 5 sentences"
    assert c4(SplitText("\n".join(lines)), sentences=6)[1] == "fewer than 6 sentences"
    assert c4(text)[0] is text


def test_c4_rejects_documents_for_a_word():
    fine = "It is a line. " * 5
    assert c4(SplitText(fine))[1] is None
    assert c4(SplitText(fine + "\nAnd a Lorem Ipsum is here"))[1] == "lorem ipsum"
    assert c4(SplitText(fine + "\nif (x) { y"))[1] == "a curly bracket"
    assert c4(SplitText(fine + "\nx {"))[1] is None               # that line is dropped before
    assert c4(SplitText(fine + "\na javascript if (x) { y"))[1] is None
    assert c4(SplitText(""))[1] == c4(SplitText("\n \n"))[1] == "fewer than 5 sentences"


@pytest.mark.parametrize("line, count", [
    ("", 0), ("One", 1), ("One. Two", 2), ("One. Two.", 2), ("Mr. Smith of the U.S. came.", 1),
    ("What?! “Yes.” Well.", 3), ("...", 1), (". . One. ) (two", 3), ("3.5 is no end. Is it", 2)])
def test_sentences_are_counted(line, count):
    assert filters.count_sentences(line, 99) == count
    assert filters.count_sentences(line, 1) == min(count, 1)


def test_bad_words_are_whole_words_and_phrases(tmp_path):
    file = tmp_path / "words"
    file.write_text("rude\nvery Bad thing\nf!\n\n")
    bad = bad_words(file)
    for text in ("How rude!", "RUDE", "a very bad thing.", "oh f! he said"):
        assert bad(SplitText(text)) == "a bad word"
    for text in ("crude", "rudeness", "very bad things", "", "very good"):
        assert bad(SplitText(text)) is None
    file.write_text("\n")
    with pytest.raises(ValueError, match="there are no words in it"):
        bad_words(file)
    file.write_bytes(b"r\xfcde\n")
    with pytest.raises(ValueError, match=f"{file}: .*utf-8"):
        bad_words(file)


# ------------------------------------------------------------------------------------------ FineWeb

SENTENCE = "This line is long enough to pass and has an end, namely number {}."


def page(count, line=SENTENCE):
    return [line.format(1000 + i) for i in range(count)]


@pytest.mark.parametrize("passes, fails, reason", [
    (page(3) + page(22, "This line is long and has no end: {}"),
     page(3) + page(23, "This line is long and has no end: {}"),
     "lines with a full stop under 12 %"),
    (page(33) + page(67, "It is of twenty-six at {}."), page(32) + page(67, "A short one is {}."),
     "short lines over 67 %"),
    (page(99) + ["", page(1)[0]], page(98) + page(1), "text in repeated lines over 1 %"),
    (page(1, "A b is not the " * 5 + "{}.") + ["", "\n"], ["Thirty letters here or so it is."] +
     ["", "\n", "\n"], "newlines over 30 % of words"),
], ids=["ended", "short", "repeated", "newlines"])
def test_fineweb(passes, fails, reason):
    assert fineweb(SplitText("\n".join(passes))) is None
    assert fineweb(SplitText("\n".join(fails))) == reason


def test_fineweb_of_nothing():
    assert fineweb(SplitText("")) == fineweb(SplitText("\n \n")) == "no text"
    twice = SplitText("\n".join(page(20) + page(1)))
    assert fineweb(twice, repeated=0.1) is None and fineweb(twice)   # the paper's, datatrove's


@given(ANYTHING)
@settings(max_examples=300)
def test_every_filter_takes_every_text(text):
    for filter in (gopher_repetition, gopher_quality, fineweb):
        assert filter(SplitText(text)) is None or len(filter(SplitText(text))) < 60
    edited, why = c4(SplitText(text), sentences=0)
    assert why or c4(edited, sentences=0) == (edited, None) or "[" in text


@pytest.mark.parametrize("text", ["a", "!", "\0", "中文，", "a.b@", "1-", "www.", "tel 1", "[1", "a\n",
                                  "http://a.b/c?", "(\"'", "\ud800", "2001:", "-/"])
def test_a_line_of_a_megabyte_is_no_danger(text):
    text = SplitText(text * (1_000_000 // len(text)))
    assert gopher_quality(text)
    gopher_repetition(text), fineweb(c4(text)[0]), personal.mask_personal(text)


# --------------------------------------------------------------------------------------------- URLs

@pytest.fixture
def lists(tmp_path):
    """Lists in both forms, with all that real ones contain."""
    (tmp_path / "gambling").mkdir()
    (tmp_path / "gambling" / "domains").write_bytes(
        "# comment\nBad-Site.com\r\nsub.half.org\n\n10.9.8.7\nspielhölle.de\nend.net.".encode())
    (tmp_path / "gambling" / "urls").write_text("half.org/bad\nmixed.org/~joe/\nmixed.org/?v=1")
    (tmp_path / "adult.domains").write_text("xn--bcher-kva.example\nother.com\n")
    (tmp_path / "press.domains").write_text("news.com\n")
    (tmp_path / "README").write_text("news.com is listed in press.domains\n")
    return tmp_path


@pytest.mark.parametrize("url", """http://bad-site.com/ https://www.bad-site.com bad-site.com
    //a.b.bad-site.com/x HTTP://BAD-SITE.COM:8080/x http://user:pass@bad-site.com/ bad-site.com:443
    http://bad-site.com./x?y#z http://bad-site.com?x http://bad-site.com\\x http://sub.half.org/
    http://x.sub.half.org/ http://10.9.8.7/x http://spielhölle.de http://www.xn--spielhlle-57a.de/
    http://end.net http://half.org/bad http://half.org/bad/page http://www.half.org/BAD?x
    http://www.mixed.org/~joe/x http://mixed.org/?v=1 http://bücher.example/
    http://other.com http://bad\u3002other.com"""
                         .split())
def test_listed_pages_are_blocked_however_they_are_written(lists, url):
    assert url_filter([lists])(url) in ("listed as gambling", "listed as adult")


@pytest.mark.parametrize("url", ["http://good.com/", "http://notbad-site.com/", "http://com/",
    "http://bad-site.com.good.org/", "http://half.org/", "http://half.org/badly", "http://news.com",
    "http://good.com/http://bad-site.com", "http://good.com/?u=bad-site.com", "http://[::1]:80/",
    "http://[bad", "", "http://", ":", "http://bad-site.com@good.com/", "http://\ud800.org",
    "http://" + "a." * 5000 + "org/" + "b/" * 5000, "http://" + "é" * 5000, "http://9.8.7.6/"])
def test_other_pages_are_not_blocked(lists, url):
    assert url_filter([lists])(url) is None


def test_categories_are_chosen(lists):
    assert url_filter([lists], categories=None)("http://news.com") == "listed as press"
    assert url_filter([lists], categories=["adult"])("http://bad-site.com") is None
    assert url_filter([])("http://bad-site.com") is None


def test_words_of_urls():
    blocked = url_filter([])
    assert blocked("http://example.com/free-PORN/") == "a banned word in the URL"
    assert blocked("http://example.com/cheap-loans/casino") == "2 doubtful words in the URL"
    assert blocked("http://myonlinecasinos.com/") == "a banned part of a word in the URL"
    for url in ("http://example.com/popcorn", "http://tip-or-news.com/", "http://essex.ac.uk/sex",
                "http://example.com/casino/casino", "http://thaipornchai.com"):
        assert blocked(url) is None
    assert url_filter([], banned="", parts="", soft="")("http://porn.com/sexcam") is None
    assert url_filter([], soft_words=1)("http://example.com/poker") == "1 doubtful words in the URL"


def test_folders_without_lists_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no list in it"):
        url_filter([tmp_path])
    (tmp_path / "adult.domains").write_bytes(b"good.com\nb\xff.com\n")
    with pytest.raises(ValueError, match="adult.domains: not UTF-8"):
        url_filter([tmp_path])


def test_hashes_are_the_same_on_every_machine(monkeypatch, lists):
    assert filters.hash_lines(b"\na\nexample.com\n").tolist() == [0, 98, 1297124869838190737]
    monkeypatch.setattr(filters, "BLOCK", 5)                 # lists are read in pieces
    assert url_filter([lists])("http://bad-site.com") == "listed as gambling"
    assert url_filter([lists])("http://good.com") is None


def test_real_lists(lists):
    folder = REAL / "web" / "blocklists" / "ut1"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent")
    blocked = url_filter([folder])
    domains = (folder / "gambling.domains").read_text().split()
    assert {blocked(f"http://www.{name}/x") for name in domains[:2000]} == {"listed as gambling"}
    urls = [url for url in (folder / "adult.urls").read_text().split() if "#" not in url]
    assert all(blocked(f"https://{url}").startswith("listed as ") for url in urls)
    assert blocked("https://en.wikipedia.org/wiki/Casino") is None


# ------------------------------------------------------------------------------- The filters' peers

def test_verdicts_are_datatroves():
    import bench_filters
    if not bench_filters.datatrove():
        pytest.skip(f"datatrove is absent: {bench_filters.peers.ABSENT['datatrove']}")
    file = REAL / "text" / "c4_demo.jsonl"
    if not file.exists():
        pytest.skip(f"{file} is absent")
    texts = [json.loads(line)["text"] for line in file.read_text("utf-8").splitlines()[:60]]
    theirs = [bench_filters.their_verdicts(text) for text in texts]
    assert [bench_filters.agree(bench_filters.verdicts(text), verdict)
            for text, verdict in zip(texts, theirs)] == [True] * len(texts)
