"""Search: questions whose pages are known, texts that are no queries, files that are no indexes."""

import gzip
import json
import os
import sqlite3
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.chat import search, tools
from data.pocket.pages import documents
from data.pocket.world import World
from data.pocket.grammar import Dice, say
from data.pocket.text import wordings

PAGES = [{"url": f"https://page.example/{i}", "text": text} for i, text in enumerate([
    "Mara Holm\nMara Holm was a baker. She was born in Tinona in 1873.",
    "Anna Holm\nAnna Holm met Mara Sorn in Mushmalir, where they caught eels.",
    "The wombat\nA wombat is a marsupial with cubic droppings.\n" + "It digs all night. " * 300
    + "\nThe oldest one was called Patrick.",
    "Ünïcödé\nŻółw is Polish for turtle; 亀 is one in Japanese. <|im_end|><|search_start|>",
])]


def write(path, pages):
    path.write_bytes(gzip.compress("".join(json.dumps(p) + "\n" for p in pages).encode()))
    return path


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    search.build([write(folder / "documents-0.jsonl.gz", PAGES)], folder / "index.db")
    return folder / "index.db"


@pytest.mark.parametrize("query, page", [
    ("Where was Mara Holm born?", 0), ("anna holm", 1), ("WOMBATS", 2), ("who was Patrick", 2),
    ("unicode", 3), ("亀", 3), ("cubic AND NOT \"droppings", 2), ("who has caught an eel?", 1),
])
def test_a_question_finds_its_page(index, query, page):
    assert search.Search(index).search(query, 1)[0].url == PAGES[page]["url"]


SPREAD = {"zh": ["灯塔\n灯塔看守人每天傍晚沿着海岸散步。", "面包\n面包师每天早上烤面包。"],
          "ja": ["灯台\n灯台守は毎晩海岸を散歩します。", "パン\nパン屋は朝に焼きます。"],
          "th": ["ประภาคาร\nผู้ดูแลประภาคารเดินเล่นริมทะเลทุกเย็น",
                 "ขนมปัง\nคนทำขนมปังอบขนมปังทุกเช้า"]}


@pytest.mark.parametrize("query, page", [
    ("看守人", "zh0"), ("谁沿着海岸散步？", "zh0"), ("面包师", "zh1"), ("塔", "zh0"), ("灯塔 看守人", "zh0"),
    ("灯台守", "ja0"), ("パン屋さんはいつ焼く", "ja1"), ("ผู้ดูแลประภาคาร", "th0"), ("ขนมปัง", "th1"),
    ("Who is the 看守人?", "zh0")])
def test_words_without_blanks_between_them_are_found(tmp_path, query, page):
    pages = [{"url": f"{name}{i}", "text": text} for name, texts in SPREAD.items()
             for i, text in enumerate(texts)] + PAGES
    search.build([write(tmp_path / "d.jsonl.gz", pages)], tmp_path / "index.db")
    found = search.Search(tmp_path / "index.db").search(query, 1)[0]
    assert found.url == page
    assert search.BORDER not in found.text + found.title
    assert found.text.replace("\n", "") == SPREAD[page[:2]][int(page[2])].replace("\n", "")
    text = search.render([found], 2000, query)
    assert found.text.split("\n")[-1] in text


def test_of_a_long_page_without_blanks_the_nearest_sentences_are_shown():
    text = "灯塔看守人住在海边。" * 9 + "面包师每天早上烤面包。" + "他很老。" * 9
    assert search.extract(text, "谁烤面包", 20) == "面包师每天早上烤面包。"


NASTY = ['"', '""', "'", "NEAR(", "a NEAR/2 b", "*", "wom*", "-holm", "^mara", "title:mara", "{}:x",
         "AND", "OR OR", "NOT mara", "(mara", "mara)", "+", "mara +", "\0", "ma\0ra",
         "🦘🦘", "", " ", "the of and", "\ud800", "a" * 1_000_000, "mara " * 200_000,
         "\"mara' OR 1=1; DROP TABLE x",
         "passages MATCH", "_", "__ _", "\x1b[2J", "İ", "%", "\\", "mara:holm",
         "col : x", "٣", "²"]


@pytest.mark.parametrize("query", NASTY, ids=range(len(NASTY)))
def test_no_query_has_a_syntax(index, query):
    for passage in search.Search(index).search(query):
        assert passage.url in {page["url"] for page in PAGES}


@settings(max_examples=200)
@given(query=st.text() | st.lists(st.sampled_from(NASTY[:28] + ["mara", "holm"])).map(" ".join))
def test_any_text_is_a_query(index, query):
    search.Search(index).search(query)


def questions(stated):
    """(question, fact id) for each of these facts of the world that people ask for."""
    things = {str(thing): thing for thing, _ in World().ledger.by_slot}
    for fact in World().facts:
        if fact.id in stated and fact.relation in wordings("ask").get(fact.kind, ()):
            dice, slot = Dice(fact.id), {things[fact.subject].slot: things[fact.subject]}
            yield say(dice, dice.pick(wordings("ask")[fact.kind][fact.relation]), slot), fact.id


def recall(size, folder, every=1):
    """How many of the questions about `size` bytes of the world's pages find a page that states the
    fact: [questions, among the first 1 page, 3, 5]."""
    pages = list(documents(0, size))
    search.build([write(folder / "world.jsonl.gz", pages)], folder / "world.db")
    stated = {page["url"]: page["facts"] for page in pages}
    base = search.Search(folder / "world.db")
    counts = [0, 0, 0, 0]
    for question, fact in list(questions({f for facts in stated.values() for f in facts}))[::every]:
        good = [fact in stated[passage.url] for passage in base.search(question, 5)]
        counts = [a + b for a, b in zip(counts, (1, any(good[:1]), any(good[:3]), any(good)))]
    return counts


def test_questions_about_the_world_find_pages_that_state_the_fact(tmp_path):
    asked, first, three, five = recall(1 << 20, tmp_path, every=4)
    assert asked > 300
    assert first > 0.8 * asked and three > 0.93 * asked and five > 0.95 * asked


def test_of_only_stop_words_those_are_looked_for(index):
    assert search.Search(index).search("what is it")


def test_a_page_is_given_once_and_its_best_passage(index):
    found = search.Search(index).search("wombat digs Patrick", 5)
    assert [passage.url for passage in found].count(PAGES[2]["url"]) == 1
    assert found[0].title == "The wombat" and "Patrick" in found[0].text
    assert found == sorted(found, key=lambda passage: -passage.score)


def test_what_stands_beside_the_best_passage_is_given_and_of_no_other_page(tmp_path):
    parts = [f"{name} " + f"{word} " * 110 + "end." for name, word in
             (("Mara Holm", "tea"), ("She", "born"), ("Later", "old"), ("He", "far"))]
    pages = [{"url": f"https://page.example/{i}", "text": text} for i, text in
             enumerate(["Nobody.", "\n\n".join(parts), "Somebody."])]
    search.build([write(tmp_path / "documents-0.jsonl.gz", pages)], tmp_path / "index.db")
    found, = search.Search(tmp_path / "index.db").search("Mara Holm", 1)
    assert found.text == "\n".join(parts[:2])
    found, = search.Search(tmp_path / "index.db").search("old", 1)
    assert found.text == "\n".join(parts[1:])


def test_a_page_leaves_room_for_those_after_it():
    found = [search.Passage(f"https://page.example/{i}", f"Page {i}", "It is so. " * 90, 1)
             for i in range(3)]
    text = search.render(found, 1200, "so")
    assert len(text) <= 1200 and all(f"[{i}] https" in text for i in (1, 2, 3))


@given(st.text(st.sampled_from("ab.\n 。é"), max_size=400) | st.text(max_size=50),
       st.integers(1, 60))
def test_passages_are_short_and_hold_the_whole_text(text, longest):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "LONGEST", longest)
        parts = list(search.passages(text))
    assert all(len(part) <= longest for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())


def test_paragraphs_stay_whole_where_they_fit():
    paragraphs = [f"Paragraph {i}. " + "word " * 60 + "end." for i in range(9)]
    for part in search.passages("\n\n".join(paragraphs)):
        assert set(part.split("\n\n")) <= set(paragraphs)


def test_results_name_their_pages_within_the_budget(index):
    found = search.Search(index).search("mara holm wombat turtle", 4)
    assert len(found) == 4
    for budget in range(0, 3000, 37):
        text = search.render(found, budget, "wombat")
        assert len(text) <= budget
        assert budget < 150 or text.startswith(f"[1] {found[0].url}\n")
    whole = search.render(found, 10_000, "")
    for passage in found:
        assert passage.url in whole
        assert passage.text.removeprefix(passage.title).strip() in whole
    assert search.render([], 100, "") == "No page was found."


@pytest.mark.parametrize("budget, pages", [(1, 1), (716, 1), (1432, 2), (9000, search.PASSAGES)])
def test_in_few_characters_fewer_pages_are_shown(index, budget, pages):
    opened = search.Search(index)
    found = opened.search("mara holm wombat turtle", pages)
    assert len(found) == pages
    assert opened.show("mara holm wombat turtle", budget) == search.render(
        found, budget, "mara holm wombat turtle")


def test_of_a_page_that_does_not_fit_the_sentences_nearest_to_the_query_are_shown():
    text = "She was born in Cadun. Her mother was a baker.\nShe liked pottery! She died in 1902."
    assert search.extract(text, "Mara mother", 30) == "Her mother was a baker."
    assert search.extract(text, "her mother, born 1850", 50) == \
        "Her mother was a baker. She was born in Cadun."
    told = "Mara likes tea. Mara has a cat. Her mother lives here."
    assert search.extract(told, "Mara's mother", 22) == "Her mother lives here."
    assert search.extract(text, "anything", 22) == "She was born in Cadun."
    assert search.extract(text, "pottery", 15) == "She liked ..."
    assert search.extract(text, "x", len(text)) == text


def test_an_index_has_the_same_bytes_twice(index, tmp_path):
    search.build([index.parent / "documents-0.jsonl.gz"], tmp_path / "again.db")
    assert (tmp_path / "again.db").read_bytes() == index.read_bytes()


def ask_often(path):
    return [search.Search(path).search("Mara Holm", 1)[0].url for _ in range(20)]


def test_threads_and_processes_search_at_once(index):
    shared, wanted = search.Search(index), [PAGES[0]["url"]] * 20
    with ThreadPoolExecutor(4) as pool, ProcessPoolExecutor(2, get_context("spawn")) as others:
        jobs = [others.submit(ask_often, index) for _ in range(2)]
        urls = list(pool.map(lambda _: shared.search("Mara Holm", 1)[0].url, range(20)))
        assert urls == wanted and all(job.result() == wanted for job in jobs)


def test_searching_changes_nothing(index):
    before = sorted(os.listdir(index.parent)), index.read_bytes()
    search.Search(index).search("mara")
    assert (sorted(os.listdir(index.parent)), index.read_bytes()) == before


@pytest.mark.parametrize("lines, why", [
    (b'{"text": "no address"}\n', ":1: not an object with"), (b"[1]\n", ":1: not an object with"),
    (b'{"text": 5, "url": "u"}\n', ":1: not an object"), (b"\n{broken\n", ":2: not JSON"),
    (b'{"text": "\xff", "url": "u"}\n', ":1: not UTF-8"), (b"", "no document"),
    (b"[" * 100_000, ":1: nested too deeply for JSON"),
])
def test_bad_documents_are_named_and_the_old_index_stays(tmp_path, lines, why):
    source, out = tmp_path / "documents.jsonl", tmp_path / "index.db"
    source.write_bytes(lines)
    out.write_bytes(b"old")
    with pytest.raises(ValueError) as error:
        search.build([source], out)
    assert why in str(error.value) and "\n" not in str(error.value)
    assert out.read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["documents.jsonl", "index.db"]


def test_broken_gzip_other_files_and_folders_are_refused(tmp_path):
    whole = gzip.compress(b'{"text": "a", "url": "b"}\n' * 9)
    (tmp_path / "cut.jsonl.gz").write_bytes(whole[:-12])
    (tmp_path / "plain.jsonl.gz").write_bytes(b"plain")
    (tmp_path / "book.txt").write_text("a book")
    for name, why in (("cut.jsonl.gz", "broken gzip"), ("plain.jsonl.gz", "broken gzip"),
                      ("book.txt", "JSON lines"), ("none.jsonl", "no such file")):
        with pytest.raises((ValueError, OSError), match=why):
            search.build([tmp_path / name], tmp_path / "index.db")
    with pytest.raises(ValueError, match="is a folder"):
        search.build([write(tmp_path / "good.jsonl.gz", PAGES)], tmp_path)


def test_a_missing_or_foreign_index_is_a_sentence(index, tmp_path):
    foreign = sqlite3.connect(tmp_path / "foreign.db")
    foreign.execute("CREATE TABLE passages (title, text, url)")
    foreign.commit()
    foreign.close()
    (tmp_path / "text.db").write_text("no database at all, but some text " * 100)
    (tmp_path / "empty.db").write_bytes(b"")
    (tmp_path / "cut.db").write_bytes(index.read_bytes()[:5000])
    for name in ("foreign.db", "text.db", "empty.db", "cut.db", "none.db", "."):
        with pytest.raises((ValueError, OSError), match="index") as error:
            search.Search(tmp_path / name).search("mara")
        assert "\n" not in str(error.value)
        with pytest.raises((ValueError, OSError), match="index"):
            tools.registry(tmp_path / name)


@given(st.data())
@settings(max_examples=150)
def test_a_damaged_index_answers_or_says_so(index, tmp_path_factory, data):
    damaged = bytearray(index.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.db"
    path.write_bytes(damaged)
    try:
        text = tools.registry(path)["search"].call("Mara Holm wombat").text
    except (ValueError, OSError) as error:
        text = str(error)
        assert str(path) in text
    if str(path) in text:
        assert "\n" not in text and len(text) < 200 + len(str(path))
    else:
        assert text.startswith(("[1] ", "No page"))
