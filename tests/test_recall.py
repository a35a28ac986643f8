"""What a model remembers: facts by the pages that state them, pages by how often they stand."""

import gzip
import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import programs
import train
from csrc.bind import ChatError, Model
from csrc.config import Config
from data.experiments import recall as experiment
from data.experiments.recall import Runs, copies, plant, plot, read_planted
from data.tokens import bpe, documents, learn, shards
from data.tokens.documents import find_files
from data.exams.marks import mark
from data.pocket.exams import examined
from data.pocket import recall
from data.pocket.exams import by_pages
from data.pocket.recall import LEAST, bucket, stated
from data.pocket import exams
from data.pocket.world import World
from data.pocket.pages import documents as world_pages
from csrc.engine import Engine


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def world():
    return World(0)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A folder of 40 kB of the pocket world's pages, some plain and some packed."""
    folder = tmp_path_factory.mktemp("corpus")
    lines = [json.dumps(page) for page in world_pages(0, 40_000)]
    (folder / "a.jsonl").write_text("\n".join(lines[:20]))       # its last line does not end
    with gzip.open(folder / "b.jsonl.gz", "wt") as file:
        file.write("\n\n".join(lines[20:] + ['{"text": ""}']) + "\n")
    return folder


@pytest.fixture(scope="module")
def planted(corpus, tmp_path_factory):
    """That corpus with a page that stands there 100 times and four that stand there once."""
    folder = tmp_path_factory.mktemp("planted") / "out"
    plant([corpus], folder, {100: 1, 1: 4})
    return folder


@pytest.fixture(scope="module")
def trained(planted, tmp_path_factory):
    """A small model that has read it for some seconds."""
    folder = tmp_path_factory.mktemp("run")
    shards.build(folder / "shards", find_files([planted / "documents"]), vocab_size=512)
    s = train.Pretrain(data=[str(folder / "shards")], depth=2, channels=64, context=64, batch=8,
                       batch_tokens=512, steps=100, lr=1e-2, device="cpu", dtype="f32",
                       sample_every=0, eval_every=1000, checkpoint_every=1000)
    data = train.Data(s)
    config = train.architecture(s, data.vocab)
    s = train.with_defaults(s, data, config)
    model = Model.create(config, "cpu", "f32", 0)
    train.train(s, train.Folder(folder / "run"), data, model)
    return Engine(model, data.tokenizer)


def all_documents(folder):
    """All documents in a folder."""
    return [json.loads(line) for line in experiment.lines(find_files([folder]))]


def command(*args):
    return programs.run("data/recall.py", *args)


# ---------------------------------------------------------------------- facts, by their pages


def test_every_number_of_pages_has_one_bucket():
    assert [bucket(least) for least in LEAST] == [
        "pages_0", "pages_1", "pages_2_3", "pages_4_9", "pages_10_19", "pages_20_49",
        "pages_50_99", "pages_100_199", "pages_200"]


def test_facts_fall_into_the_bucket_of_their_pages(world):
    pairs = [(None, fact) for fact in world.facts[:12]]
    counts = dict(zip([fact.id for _, fact in pairs],
                      [0, 1, 2, 3, 4, 9, 10, 49, 50, 199, 200, 5000]))
    found = exams.buckets(world, Counter(counts), pairs)
    assert {name: sorted(counts[fact.id] for _, fact in some) for name, some in found.items()} == {
        "pages_0": [0], "pages_1": [1], "pages_2_3": [2, 3], "pages_4_9": [4, 9],
        "pages_10_19": [10], "pages_20_49": [49], "pages_50_99": [50], "pages_100_199": [199],
        "pages_200": [200, 5000]}


def test_pages_count_where_training_reads_them(corpus):
    pages = stated(str(corpus))
    records = all_documents(corpus)
    read = set(recall.training_texts([corpus]))
    assert 0 < sum(record["text"] not in read for record in records) < len(records) / 5
    assert pages == Counter(fact for record in records if record["text"] in read
                            for fact in record["facts"])
    assert pages["nobody: born"] == 0


def test_the_truth_of_a_crawl_tells_what_its_pages_state(corpus, tmp_path):
    records = all_documents(corpus)
    plain, truth = tmp_path / "documents.jsonl", tmp_path / "pages.jsonl.gz"
    plain.write_text("".join(json.dumps({key: record[key] for key in ("url", "text")}) + "\n"
                             for record in records))
    with gzip.open(truth, "wt") as file:
        file.writelines(json.dumps(record) + "\n" for record in records)
        file.write('{"url": "https://gone.example/", "text": "missing"}\n')
    read = set(recall.training_texts([plain]))
    pages = Counter(fact for record in records if record["text"] in read
                    for fact in record["facts"])
    assert stated(plain, truth) == pages
    with pytest.raises(ValueError, match=r'documents.jsonl: no document has "facts"'):
        stated(plain)
    for name, file in ("crawl/truth", truth), ("documents", plain):
        (tmp_path / "world" / name).mkdir(parents=True)
        file.rename(tmp_path / "world" / name / file.name)
    assert stated(tmp_path / "world" / "documents") == pages


def test_questions_ask_at_most_so_many_facts_of_each_bucket(world):
    ids = [fact.id for fact in world.facts]
    pages = Counter({id: LEAST[k % len(LEAST)] for k, id in enumerate(ids)})
    found = by_pages(world, pages, 5)
    exams = Counter(question.exam for question in found)
    assert {f"asked_{bucket(least)}" for least in LEAST} <= exams.keys()
    assert {f"recall_{bucket(least)}" for least in LEAST} <= exams.keys()
    assert max(exams.values()) == 5
    assert all(question.exam.endswith(bucket(pages[question.id])) for question in found)
    assert all(question.truth["unread"] == (question.exam == "asked_pages_0")
               for question in found if question.kind == "fact")
    assert found == by_pages(World(0), pages, 5)


def test_what_is_asked_stands_in_no_conversation(world):
    unasked = {str(person) for person in world.unasked}
    famous = {fact.subject for fact in world.facts if fact.fame == "many"}
    for question in by_pages(world, Counter(), 10_000):
        if question.kind == "fact":
            subject = question.truth["subject"]
            assert subject in unasked or subject not in famous and examined(subject)


def test_the_truth_of_each_question_gets_all_marks(world):
    pages = Counter({fact.id: 7 for fact in world.facts})
    for question in by_pages(world, pages, 50):
        assert mark(question, question.worked)[""]
        assert not mark(question, "It is a zebra.")[""]


def figure(value):
    return {"value": value, "low": max(0, value - 0.1), "high": min(1, value + 0.1), "n": 50}


def test_recall_is_drawn_of_one_model_or_of_several(tmp_path, monkeypatch):
    from matplotlib.axes import Axes
    drawn, errorbar = [], Axes.errorbar
    monkeypatch.setattr(Axes, "errorbar", lambda self, x, *args, label, **how: drawn.append(
        (len(x), label)) or errorbar(self, x, *args, label=label, **how))
    both = {f"{exam}_{bucket(least)}": figure(k / 10) for exam in ("recall", "asked")
            for k, least in enumerate(LEAST)}
    plot(both, tmp_path / "both.png")
    plot({"base_recall_pages_10_19": figure(0), "asked_pages_0_made_up": figure(1)},
         tmp_path / "one.png")
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG")
               for name in ("both.png", "one.png"))
    assert drawn == [(9, experiment.CURVES["asked"]), (9, experiment.CURVES["recall"]),
                     (1, "base: " + experiment.CURVES["recall"])]
    with pytest.raises(ValueError, match="infer.py eval --training makes them"):
        plot({"gsm8k_strict": figure(1)}, tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


# ----------------------------------------------------------------------------- planting pages


def test_planted_pages_stand_as_often_as_said_where_training_reads_them(corpus, planted):
    counts = Counter(recall.training_texts([planted / "documents"]))
    pages = read_planted(planted / "planted.json")
    assert [times for times, _ in pages] == [100, 1, 1, 1, 1]
    assert all(counts[text] == times for times, text in pages)
    assert len({text[:experiment.BEGINNING] for _, text in pages}) == 5
    assert all(110 <= len(text.split()) <= 150 for _, text in pages)


def test_documents_stay_as_they_are_and_in_their_order(corpus, planted):
    new = {text for _, text in read_planted(planted / "planted.json")}
    before, after = ([line.strip() for line in experiment.lines(find_files([folder]))
                      if json.loads(line)["text"] not in new]
                     for folder in (corpus, planted / "documents"))
    assert after == before and len(before) > 30


def test_copies_are_spread_over_the_documents(planted):
    (_, text), *_ = read_planted(planted / "planted.json")
    every = [*documents.documents(planted / "documents")]
    places = [k / len(every) for k, one in enumerate(every) if one == text]
    assert np.histogram(places, 4, (0, 1))[0].min() > 10


def test_no_training_reads_the_list_of_planted_pages(planted):
    assert all(file.name != "planted.json" for file in find_files([planted]))


def test_names_of_planted_pages_are_on_no_page_of_the_world(planted, world):
    new = " ".join(text for _, text in read_planted(planted / "planted.json"))
    for thing in [*world.people, *world.towns]:
        assert str(thing) not in new


def test_a_seed_makes_the_same_bytes(corpus, planted, tmp_path):
    plant([corpus], tmp_path / "again", {100: 1, 1: 4})
    plant([corpus], tmp_path / "other", {100: 1, 1: 4}, seed=1)
    for name in "documents/documents-00000.jsonl.gz", "planted.json":
        assert (tmp_path / "again" / name).read_bytes() == (planted / name).read_bytes()
        assert (tmp_path / "other" / name).read_bytes() != (planted / name).read_bytes()


@pytest.mark.parametrize("args, sentence", [
    (["--times", "5"], "--pages has 3 numbers for 1 different --times: one for each"),
    (["--times", "5", "5", "--pages", "1", "1"], "2 numbers for 1 different --times"),
    (["--times", "0", "--pages", "1"], "--times is 0, but must be in [1, inf)"),
    (["--times", "9999", "--pages", "1"], "9999 pages do not fit among"),
])
def test_wrong_numbers_are_one_sentence_and_write_nothing(corpus, tmp_path, args, sentence):
    found = command("plant", corpus, "--out", tmp_path / "out", *args)
    assert found.returncode == 1 and sentence in found.stderr
    assert found.stderr.count("\n") == 1 and not (tmp_path / "out").exists()


def test_documents_must_be_json_lines_and_a_folder_new(corpus, planted, tmp_path):
    (tmp_path / "book.txt").write_text("A book.\n")
    with pytest.raises(ValueError, match="book.txt: not a file of JSON lines"):
        plant([tmp_path / "book.txt"], tmp_path / "out", {1: 1})
    assert not (tmp_path / "out").exists()
    with pytest.raises(ChatError, match="is not an empty folder"):
        plant([corpus], planted)


# ------------------------------------------------------------------------------ runs of tokens


def naive(documents, written):
    """All runs of a text, one after the other."""
    for length in range(len(written), 0, -1):
        for start in range(len(written) - length + 1):
            run = written[start:start + length]
            times = sum(document[i:i + length] == run for document in documents
                        for i in range(len(document)))
            if times:
                return run, times
    return [], 0


SOME = st.lists(st.sampled_from([0, 1, 255, 256, 70_000]), max_size=12)


@given(st.lists(SOME, min_size=1, max_size=6), SOME)
def test_the_longest_run_is_the_one_that_all_runs_give(documents, written):
    text = Runs(documents)
    run = text.longest(written)
    expected, times = naive(documents, written)
    assert len(run) == len(expected)
    if run:
        assert text.count(run) == sum(document[i:i + len(run)] == run for document in documents
                                      for i in range(len(document)))
        assert any(written[k:k + len(run)] == run for k in range(len(written)))


def test_a_run_ends_where_a_document_does():
    text = Runs([[1, 2, 3], [4, 5]])
    assert text.longest([2, 3, 4, 5]) == [2, 3] and text.count([3, 4]) == 0


# ------------------------------------------------------------------------------------ copies


def test_a_page_read_100_times_comes_back_verbatim_and_ordinary_ones_do_not(trained, planted):
    pages = read_planted(planted / "planted.json")
    found = copies(trained, pages, [planted / "documents"], 16, 40, samples=4)
    assert {name: (one["value"], one["n"]) for name, one in found["figures"].items()} == {
        "verbatim_100": (1, 1), "verbatim_1": (0, 4), "verbatim_ordinary": (0, 5)}
    assert found["longest"]["100"] == 40 and found["longest"]["ordinary"] < 20
    first = found["pages"][0]
    assert first["times"] == "100" and first["written"] == first["page"] in pages[0][1]
    assert len(found["samples"]) == 4
    texts = recall.training_texts([planted / "documents"])
    for one in found["samples"]:
        assert one["copied"] in one["written"]
        assert sum(text.count(one["copied"]) for text in texts) >= one["times"] > 0
    shown = experiment.describe(found)
    assert "100%" in shown and "---- 100: 40 tokens copied" in shown and "free sample" in shown
    assert found == copies(trained, pages, [planted / "documents"], 16, 40, samples=4)


def random_folder(folder, corpus):
    """A model folder that knows nothing, with a tokenizer of this text."""
    tokenizer = bpe.learn(learn.count_chunks(recall.training_texts([corpus])), 320)
    model = Model.create(Config(vocab=320, context=48, layers=1, channels=16, heads=2, kv_heads=1,
                                head_dim=8, hidden=16))
    model.save(folder)
    tokenizer.save(folder)
    return folder


def test_the_command_prints_a_table_and_writes_the_figures(corpus, planted, tmp_path):
    out = tmp_path / "copies.json"
    model = random_folder(tmp_path / "model", corpus)
    found = command("copies", "--model", model, "--planted", planted / "planted.json", "--length",
                    "20", "--samples", "2", "--out", out)
    assert found.returncode == 0, found.stderr
    assert "times in training" in found.stdout and "2 free samples" in found.stdout
    report = json.loads(out.read_text())
    assert report["figures"]["verbatim_100"] == {"value": 0.0, "low": 0.0, "high": pytest.approx(
        0.7935, abs=1e-4), "n": 1}
    assert report["model"] == str(model) and len(report["pages"]) == 10


def test_what_does_not_fit_is_one_sentence(trained, corpus, planted, tmp_path):
    pages = read_planted(planted / "planted.json")
    training, short = [planted / "documents"], tmp_path / "short.jsonl"
    short.write_text('{"text": "A short page."}\n{"text": "One of which the end is held out."}\n')
    with pytest.raises(ValueError, match="--length 128 .* the model's context of 64"):
        copies(trained, pages, training)
    with pytest.raises(ValueError, match="stands 0 times in the training text, not 100: "
                                         "--training must be"):
        copies(trained, pages, [corpus], 16, 40)
    with pytest.raises(ValueError, match="is 16, but a planted page has"):
        copies(trained, [(1, "A short page.")], [short], 16, 40)


@pytest.mark.parametrize("content", ["{}", "[]", "not JSON", '{"pages": []}',
                                     '{"pages": [{"text": "no times"}]}', None])
def test_a_list_that_plant_did_not_write_is_named(tmp_path, content):
    path = tmp_path / "planted.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises((ValueError, ChatError), match="planted.json: ") as error:
        read_planted(path)
    assert "\n" not in str(error.value)


def test_a_report_without_figures_is_named(tmp_path):
    path = tmp_path / "report.json"
    path.write_text('{"figures": 3}')
    found = command("plot", path, "--out", tmp_path / "plot.png")
    assert found.returncode == 1 and '"figures" is 3, but must be an object' in found.stderr
    assert not (tmp_path / "plot.png").exists()
