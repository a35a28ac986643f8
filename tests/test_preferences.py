"""train.py reward and train.py dpo: what is a pair, what is learned from one, and wrong input."""

import gzip
import json

import numpy as np
import pytest

import train
from csrc.bind import Job, Model
from csrc.files import ChatError
from data.chat.threads import Threads
from data.stages import preferences
from data.stages.preferences import Dpo, Reward, pairs_of
from data.stages.settings import by_length
from learning import LIBRARY, assert_gradients, assistant, log_of, made, moved, run_of, trained

WORDS = "red green blue black white grey brown pink".split()
RECORDS = [{"prompt": f"Say {a} and {b}.", "chosen": f"{a} {b}", "rejected": f"{b} {b} no"}
           for a in WORDS for b in WORDS if a != b]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return assistant(tmp_path_factory.mktemp("assistant") / "sft")


def write(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


def said(pair):
    """What stands in a pair's last messages, and which of its messages count."""
    return [side[-1]["content"] for side in pair], [
        [message.get("weight", 1) for message in side if message["role"] == "assistant"]
        for side in pair]


# ---- What is a pair ------------------------------------------------------------------------------

def test_a_pair_may_be_texts_messages_or_transcripts_that_begin_alike():
    asked, one, other = ({"role": role, "content": text} for role, text in
                         (("user", "Hi"), ("assistant", "good"), ("assistant", "bad")))
    transcript = "\n\nHuman: Hi\n\nAssistant: Ho\n\nHuman: Well?\n\nAssistant: "
    for record, counts in (
            ({"prompt": "Hi", "chosen": "good", "rejected": "bad"}, [1]),
            ({"prompt": [asked], "chosen": [one], "rejected": [other]}, [1]),
            ({"chosen": [asked, one], "rejected": [asked, other]}, [1]),
            ({"chosen": transcript + "good", "rejected": transcript + "bad"}, [0, 1])):
        pair, = pairs_of(record)
        assert said(pair) == (["good", "bad"], [counts, counts])


def test_of_a_ranking_each_two_replies_of_different_rank_are_a_pair():
    pairs = pairs_of({"prompt": "Hi", "ranked": ["a", ["b", "c"], "d"]})
    assert [said(pair)[0] for pair in pairs] == [
        ["a", "b"], ["a", "c"], ["a", "d"], ["b", "d"], ["c", "d"]]
    replies = [[{"role": "assistant", "content": text}] for text in "ab"]
    assert [said(p)[0] for p in pairs_of({"prompt": "Hi", "ranked": replies})] == [["a", "b"]]


def test_votes_of_the_page_are_pairs(tmp_path):
    threads = Threads(tmp_path / "chats.db")
    name = threads.create({})
    asked = threads.add(name, None, "user", "Who?")
    for text, vote in ("Ada", 1), ("Bob", -1), ("Eve", 0):
        threads.vote(name, threads.add(name, asked, "assistant", text), vote)
    record, = map(json.loads, threads.export("preferences"))
    assert [said(pair)[0] for pair in pairs_of(record)] == [["Ada", "Bob"]]


@pytest.mark.parametrize("record, sentence", [
    ({"prompt": "Hi", "chosen": "a", "rejected": "a"}, "both sides are the same"),
    ({"prompt": "Hi", "ranked": ["a"]}, "a single reply: nothing is preferred"),
    ({"prompt": "Hi", "ranked": [["a", "b"]]}, "a tie: nothing is preferred"),
    ({"prompt": "Hi", "ranked": ["a", "a"]}, "both sides are the same"),
    ({"prompt": "Hi", "ranked": []}, "no reply: nothing is preferred"),
    ({"prompt": "Hi", "chosen": "a"}, "nearest format is a pair .*\"rejected\" is missing"),
    ({"prompt": "Hi", "chosen": "a", "rejected": " "}, "the assistant's is empty"),
    ({"chosen": "\n\nHuman: A\n\nAssistant: x", "rejected": "\n\nHuman: B\n\nAssistant: y"},
     "differ in what the assistant is asked")])
def test_what_is_no_pair_says_why(record, sentence):
    with pytest.raises(ChatError, match=sentence):
        pairs_of(record)


def test_what_is_no_pair_is_left_out_and_counted(folder, tmp_path):
    same = {"prompt": "Hi", "chosen": "a", "rejected": "a"}
    long = {"prompt": "Hi " * 80, "chosen": "a", "rejected": "b"}
    file = write(tmp_path / "p.jsonl", [same, *RECORDS, same, long, {"prompt": "Hi", "ranked": []}])
    _, data, _ = made(Reward, folder, tmp_path / "run", data=[file])
    assert str(data) == (
        "56 records, 54 pairs, 2 held out; 4 skipped: both sides are the same (2), longer than "
        "--context 64 (1), no reply: nothing is preferred (1)")


def rated(context, said, reward, **more):
    turns = [{"role": "agent", "text": "Hello"}, {"role": "user", "text": context}]
    return {"conversation_id": "d", "context": json.dumps(turns), "reward": reward, "generation":
            json.dumps({"role": "agent", **({"text": said} if said else {"api": more})})}


def test_rated_steps_of_one_context_are_a_ranking_wherever_they_stand(folder, tmp_path):
    """Taskmaster-4's labels: a step that says something or calls a function, of two files; ties and
    single steps are counted."""
    first, second = tmp_path / "a.json", tmp_path / "b.json.gz"
    steps = [rated("Tea", "Which?", 1.0), rated("Milk", "No", 0), rated("Cake", "No", 0.0),
             rated("Tea", "Bye", 0.0), rated("Cake", "Never", 0.0)]
    call = rated("Tea", "", 0.0, get_menu={"query": "tea"})
    first.write_text(json.dumps(steps))
    second.write_bytes(gzip.compress(json.dumps([call]).encode()))
    found = [record for _, record in preferences.all_records([str(first), str(second)])]
    better, worse = zip(*pairs_of(found[0]))
    assert [side[-1]["content"] for side in better + worse] == ["Which?", "Which?", "Bye", None]
    assert worse[1][-1]["tool_calls"][0]["function"]["name"] == "get_menu"
    assert [message.get("weight") for message in better[0] if message["role"] == "assistant"] == [
        0, None]                                 # Hello is said by both sides
    for record, sentence in zip(found[1:], ("a single reply", "a tie")):
        with pytest.raises(ChatError, match=f"{sentence}: nothing is preferred"):
            pairs_of(record)
    first.write_text(json.dumps([*steps, rated("Tea", "Well", float("nan"))]))
    with pytest.raises(ChatError, match="a.json:1: the reward is nan, but must be a number"):
        made(Reward, folder, tmp_path / "run", data=[str(first)])
    first.write_text(json.dumps([rated(f"{k}", "Yes", 1.0) for k in range(30)]))
    with pytest.raises(ChatError, match=r"0 pairs.*30 skipped: a single reply: nothing .* \(30\)"):
        made(Reward, folder, tmp_path / "run", data=[str(first)])


def test_transcripts_in_a_gz_file_are_pairs(folder, tmp_path):
    """As hh-rlhf has them."""
    file = tmp_path / "harmless.jsonl.gz"
    file.write_bytes(gzip.compress("".join(json.dumps({
        side: f"\n\nHuman: {k}\n\nAssistant: {word}" for side, word in
        (("chosen", "good"), ("rejected", "bad"))}) + "\n" for k in range(40)).encode()))
    _, data, _ = made(Reward, folder, tmp_path / "run", data=[str(file)])
    assert str(data) == "40 records, 38 pairs, 2 held out"


def test_a_file_without_any_pair_is_an_error(folder, tmp_path):
    file = write(tmp_path / "p.jsonl", [{"prompt": "Hi", "chosen": "a", "rejected": "a"}] * 30)
    with pytest.raises(ChatError, match=r"0 records.*20 records are the least \(.*p.jsonl:1: both"):
        made(Dpo, folder, tmp_path / "run", data=[file])
    with pytest.raises(OSError, match="none.jsonl"):
        made(Dpo, folder, tmp_path / "run", data=[str(tmp_path / "none.jsonl")])


# ---- What is learned -----------------------------------------------------------------------------

def run_with(kind, folder, tmp_path, **settings):
    file = write(tmp_path / "p.jsonl", RECORDS)
    s, data, model = made(kind, folder, tmp_path / "run", data=[file], **settings)
    return run_of(s, data, model)


def test_a_reward_model_has_bradley_and_terry_s_gradient(folder, tmp_path):
    run = run_with(Reward, folder, tmp_path, pairs=3, batch=2)
    moved(run.model)
    passes = next(preferences.reward_batches(run))
    assert len(passes) > 1, "the pairs fit into one pass"

    def loss_of(tokens):
        last = [max(np.flatnonzero(row)) for row in tokens]          # id 0 is no text's

        def loss(out):
            value = out[np.arange(len(out)), last]
            better, worse = value[:len(out) // 2], value[len(out) // 2:]
            return np.log(1 + np.exp(worse - better)).sum() / 3
        return loss
    value, total = assert_gradients(run.model, passes, [loss_of(p[0]) for p in passes])
    assert value == pytest.approx(total, rel=1e-5)


LOSSES = {"dpo": lambda a: np.log(1 + np.exp(-0.1 * a)), "ipo": lambda a: (a - 5) ** 2,
          "simpo": lambda a: np.log(1 + np.exp(-(2 * a - 1)))}


@pytest.mark.parametrize("preference", LOSSES)
def test_each_preference_has_its_paper_s_gradient(folder, tmp_path, preference):
    run = run_with(Dpo, folder, tmp_path, preference=preference, pairs=3, batch=2)
    moved(run.model)
    passes = next(preferences.dpo_batches(run))

    def loss_of(tokens, targets):
        n, counts = len(tokens) // 2, (targets >= 0).sum(1)
        before = run.reference.forward(tokens, targets).astype(float)

        def loss(nll):
            if preference == "simpo":
                each = -nll.sum(1) / counts
            else:
                each = (before - nll).sum(1)
            return LOSSES[preference](each[:n] - each[n:]).sum() / 3
        return loss
    value, total = assert_gradients(run.model, passes, [loss_of(*p[:2]) for p in passes])
    assert value == pytest.approx(total, rel=1e-4)


@pytest.mark.parametrize("kind, settings", [
    (Reward, {}), (Dpo, {}), (Dpo, {"preference": "ipo"}), (Dpo, {"preference": "simpo"}),
    (Dpo, {"lora": 4, "lr": 3e-2}), (Reward, {"lora": 4, "lr": 3e-2})])
def test_held_out_pairs_are_told_apart(folder, tmp_path, capsys, kind, settings):
    file = write(tmp_path / "p.jsonl", RECORDS * 4)
    s, data, model = made(kind, folder, tmp_path / "run", data=[file], steps=12, eval_every=6,
                          **settings)
    figures = trained(s, data, model, plot=kind is Reward)
    assert figures["accuracy"] > 0.9
    assert (tmp_path / "run" / "loss.png").exists() == (kind is Reward)
    assert log_of(tmp_path / "run")[-1]["stage"] == train.stage_of(s)
    if kind is Reward:
        assert figures["calibration_error"] < 0.5
        assert_foretold(capsys.readouterr().out.split("\n"))
        again = Model.load(tmp_path / "run", "cpu", "f32")
        tokens = np.array([data.held[0][0][0]])
        assert again.config.scalar == 1          # of adapters, too, with their base
        np.testing.assert_allclose(again.forward(tokens), model.forward(tokens), atol=1e-4)


def assert_foretold(lines):
    """The last table of calibration has shares of all pairs, foretold from 50 % on."""
    rows = {name: [int(cell[:-1]) for cell in line[22:].split()] for line in lines
            for name in ("probability foretold", "share preferred", "share of the pairs")
            if line.startswith(name)}
    sure, right, share = rows.values()
    assert len(sure) == len(right) == len(share) and sure == sorted(sure) and min(sure) >= 50
    assert abs(sum(share) - 100) <= len(share)
    assert sum(a * b for a, b in zip(right, share)) > 8500      # accuracy is over 90 %


def test_ranks_share_the_pairs_of_a_step(folder, tmp_path):
    run = run_with(Dpo, folder, tmp_path, pairs=5, batch=2)
    lengths = [9, 3, 7, 60, 5]
    shares = []
    for rank in range(3):
        run.job = type("Job", (), {"rank": rank, "ranks": 3})()
        shares += by_length(run, lengths)
    assert sorted(place for part in shares for place in part) == [0, 1, 2, 3, 4]


def test_a_rank_without_passes_adds_nothing(folder, tmp_path):
    for kind in Reward, Dpo:
        run = run_with(kind, folder, tmp_path, pairs=2)
        assert train.accumulate(run.model, [], Job(LIBRARY)) == (0, 0)


def test_a_reward_model_writes_no_answers(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    judge = assistant(tmp_path / "judge", scalar=1)
    with pytest.raises(ChatError, match="judges texts .* and cannot write any: --model names one"):
        train.start(Dpo(model=str(judge), data=["world"], out="run", dtype="f32"), set())
    assert not (tmp_path / "run").exists()
