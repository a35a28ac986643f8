"""Adapters as PEFT's folders (csrc/adapter.py): written, read, merged, and in runs of train.py."""

import json
import shutil
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import train
from csrc import adapter, gguf_write, runs
from csrc.bind import GENERATES, ChatError, Model
from data.chat.turn import is_assistant, load
from data.tokens import bpe
from data.tokens.tables import to_gguf
from folders import CONFIGS, random_model
from test_ranks import finished, mpirun, needs_mpirun, training
from test_sft import CHATS, base, run, write  # noqa: F401  (base is a fixture)

NAMES = [name for name in CONFIGS if "Classification" not in name]
TOKENS = np.arange(24).reshape(2, 12)
CLOSE = dict(rtol=0, atol=2e-4)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def adapted(name="LlamaForCausalLM", r=3):
    """A model with adapters, on the base in the folder "base"; written to "adapter"."""
    random_model(CONFIGS[name]).save("base")
    model, rng = Model.load("base", lora=r), np.random.default_rng(5)
    adapter.begin(model, 0)
    for tensor, shape, _ in model.tensors:
        if tensor.endswith("lora_B.weight"):
            model.write(tensor, 0.3 * rng.standard_normal(shape))
    model.save("adapter")
    return model


# ---- The folder ----------------------------------------------------------------------------------

@pytest.mark.parametrize("name", NAMES)
def test_an_adapter_is_merged_where_it_is_loaded(name):
    model = adapted(name)
    want, plain = model.logits(TOKENS), Model.load("base").logits(TOKENS)
    assert abs(want - plain).max() > 0.05
    for flags in train.launch.bind.TRAINS, GENERATES:
        merged = Model.load("adapter", flags=flags)
        assert not merged.added and not merged.config.lora
        np.testing.assert_allclose(merged.logits(TOKENS), want, **CLOSE)
    assert set(load_file("adapter/" + adapter.WEIGHTS)) and not Path("adapter/config.json").exists()


def test_q_k_and_v_share_an_a_and_the_base_is_found_from_here_and_from_the_folder(tmp_path,
                                                                                  monkeypatch):
    want = adapted().logits(TOKENS)
    tensors, about = load_file("adapter/" + adapter.WEIGHTS), runs_json("adapter")
    name = "base_model.model.model.layers.1.self_attn.{}_proj.lora_{}.weight"
    a = [tensors[name.format(part, "A")] for part in "qkv"]
    assert all(np.array_equal(one, a[0]) for one in a) and a[0].shape == (3, 16)
    assert [tensors[name.format(part, "B")].shape for part in "qkvo"] == [
        (24, 3), (12, 3), (12, 3), (16, 3)]
    assert about["r"] == about["lora_alpha"] == 3 and about["base_model_name_or_path"] == "base"
    assert about["target_modules"][0] == "mlp.down_proj" and len(about["target_modules"]) == 7
    monkeypatch.chdir("/")
    edit(tmp_path / "adapter", base_model_name_or_path="../base")
    np.testing.assert_allclose(Model.load(tmp_path / "adapter").logits(TOKENS), want, **CLOSE)


def test_an_adapter_on_an_adapter_and_one_on_a_gguf_file_are_merged():
    adapted("Qwen3ForCausalLM")
    once = Model.load("adapter", lora=2)
    adapter.begin(once, 1)
    name = "model.layers.0.mlp.down_proj.lora_B.weight"
    once.write(name, np.ones(once.tensors[once.index[name]][1]))
    once.save("second")
    np.testing.assert_allclose(Model.load("second").logits(TOKENS), once.logits(TOKENS), **CLOSE)
    gguf_write.save(Model.load("base"), Path("base.gguf"), "f32", {})
    edit("adapter", base_model_name_or_path="base.gguf")
    want = Model.load("adapter", flags=GENERATES).logits(TOKENS)
    edit("adapter", base_model_name_or_path="base")
    np.testing.assert_allclose(want, Model.load("adapter").logits(TOKENS), **CLOSE)


def runs_json(folder):
    return json.loads(Path(folder, adapter.CONFIG).read_text())


def edit(folder, **changes):
    Path(folder, adapter.CONFIG).write_text(json.dumps(runs_json(folder) | changes))


@pytest.mark.parametrize("changes, said", [
    (dict(r=4), r"rank 4 beside a matrix of .* makes A \(4, 16\).* of another rank"),
    (dict(use_dora=True), "use_dora is True; supported is only False"),
    (dict(peft_type="LOHA"), "peft_type is 'LOHA'; supported is only 'LORA'"),
    (dict(modules_to_save=["lm_head"]), "modules_to_save is .'lm_head'."),
    (dict(rank_pattern={"q_proj": 8}), "rank_pattern is"),
    (dict(init_lora_weights="pissa"), "init_lora_weights is 'pissa'"),
    (dict(r="x"), "r is 'x', but must be a whole number"),
    (dict(base_model_name_or_path="gone"), "its base model gone is not there: bring it back"),
    (dict(base_model_name_or_path=None), "base_model_name_or_path is None, but must name"),
    (dict(base_model_name_or_path="."), "over 8 adapters, each the next one's base")])
def test_an_adapter_that_cannot_be_merged_is_refused_in_one_sentence(changes, said):
    adapted()
    edit("adapter", **changes)
    with pytest.raises(ChatError, match=said):
        Model.load("adapter")


@pytest.mark.parametrize("config, said", [
    (replace(CONFIGS["LlamaForCausalLM"], hidden=28), "another model's, or of another rank"),
    (replace(CONFIGS["LlamaForCausalLM"], layers=1),
     "adapts model.layers.1.self_attn.q_proj, and base has no such matrix: it is another model's"),
    (CONFIGS["GPT2LMHeadModel"], "base has no such matrix: it is another model's")])
def test_an_adapter_of_another_model_is_refused(config, said):
    adapted()
    shutil.rmtree("base")
    random_model(config).save("base")
    with pytest.raises(ChatError, match=said):
        Model.load("adapter")


def test_what_is_no_part_of_a_lora_and_a_pickle_are_refused():
    adapted()
    tensors = load_file("adapter/" + adapter.WEIGHTS)
    save_file({**tensors, "base_model.model.lm_head.lora_embedding_A": np.ones((2, 2), "f4")},
              "adapter/" + adapter.WEIGHTS)
    with pytest.raises(ChatError, match="lora_embedding_A in F32 is not supported"):
        Model.load("adapter")
    Path("adapter", adapter.WEIGHTS).rename("adapter/adapter_model.bin")
    with pytest.raises(ChatError, match="there is no such file, and no other kind is read"):
        Model.load("adapter")


# ---- PEFT ----------------------------------------------------------------------------------------

def transformers_logits(model):
    torch = pytest.importorskip("torch")
    with torch.no_grad():
        return model.eval()(torch.tensor(TOKENS)).logits.numpy()


@pytest.mark.parametrize("name", ["LlamaForCausalLM", "GPT2LMHeadModel", "Qwen3ForCausalLM",
                                  "Gemma3ForCausalLM", "GPTNeoXForCausalLM"])
def test_peft_gives_the_same_logits_and_its_own_adapters_are_read(name):
    peft, transformers = map(pytest.importorskip, ("peft", "transformers"))
    want = adapted(name).logits(TOKENS)
    fresh = transformers.AutoModelForCausalLM.from_pretrained
    got = transformers_logits(peft.PeftModel.from_pretrained(fresh("base"), "adapter"))
    np.testing.assert_allclose(got, want, **CLOSE)
    Model.load("adapter").save("merged")
    np.testing.assert_allclose(transformers_logits(fresh("merged")), want, **CLOSE)
    modules = runs_json("adapter")["target_modules"]
    theirs = peft.get_peft_model(fresh("base"), peft.LoraConfig(
        r=2, lora_alpha=5, use_rslora=name[0] == "L", target_modules=modules,
        init_lora_weights=False, task_type="CAUSAL_LM"))
    theirs.save_pretrained("theirs")
    got = Model.load("theirs").logits(TOKENS)
    np.testing.assert_allclose(got, transformers_logits(theirs), **CLOSE)
    assert abs(got - want).max() > 0.01


# ---- Runs ----------------------------------------------------------------------------------------

FLAGS = ["--context", 64, "--batch", 2, "--batch-tokens", 256, "--mix", 0, "--dtype", "f32",
         "--sample-every", 2, "--eval-every", 2, "--checkpoint-every", 2, "--lora", 4]


def sft(base, out, *flags, cwd="."):
    data = write(Path("chats.jsonl").resolve(), CHATS)
    return run(cwd, "sft", "--model", base, "--data", data, "--out", out, *FLAGS, *flags)


def test_a_run_leaves_pefts_folder_and_goes_on_to_the_bit(base):  # noqa: F811
    done = sft(base, "whole", "--steps", 4)
    assert done.returncode == 0, done.stderr
    assert "of which" in done.stdout and "learn" in done.stdout
    assert not (Path("whole") / "config.json").exists()
    assert is_assistant(load("whole", "cpu", "f32"), "whole")
    assert runs.find_model("whole") == Path("whole") and runs.find_model("whole/best")
    names = {name for name in runs.read_state(Path("whole"))[2]}
    assert len(names) == 3 * 8 and all(".lora_" in name for name in names)
    for folder in "whole", "whole/best":
        assert load(folder, "cpu", "f32").tokenizer.ours
    merged = train.Model.load("whole")
    assert not np.array_equal(merged.read("model.layers.0.self_attn.v_proj.weight"),
                              Model.load(base).read("model.layers.0.self_attn.v_proj.weight"))
    assert sft(base, "parts", "--steps", 4).returncode == 0
    state = Path("parts/state.previous.safetensors").read_bytes()        # of step 2
    Path("parts/state.safetensors").write_bytes(state)
    again = run(".", "--resume", "--out", "parts")
    assert again.returncode == 0, again.stderr
    for file in adapter.WEIGHTS, "best/" + adapter.WEIGHTS:
        assert zlib.crc32(Path("parts", file).read_bytes()) == \
            zlib.crc32(Path("whole", file).read_bytes())


def test_a_run_whose_base_has_changed_or_gone_does_not_go_on(base):  # noqa: F811
    shutil.copytree(base, "base")
    assert sft("base", "run", "--steps", 2).returncode == 0
    model = Model.load("base")
    model.write("model.norm.weight", 2 * model.read("model.norm.weight"))
    model.save("base")
    said = run(".", "--resume", "--out", "run").stderr
    assert "base is not what the run was trained on: the base model changed" in said
    shutil.rmtree("base")
    said = run(".", "--resume", "--out", "run").stderr
    assert "base is gone, and run has only adapters to it: bring it back" in said


def test_models_from_elsewhere_have_adapters_by_default(base):  # noqa: F811
    """Those whose tokenizer is not ours; a GGUF file may be the base, of documents, too."""
    tokenizer = bpe.Tokenizer.load(base)
    gguf_write.save(Model.load(base), Path("base.gguf"), "f32",
                    to_gguf(tokenizer, tokenizer.vocab_size))
    book = Path("book.txt")
    book.write_text("After red comes green. Then blue. Say black and white. " * 200)
    done = run(".", "--model", "base.gguf", "--data", book, "--context", 16, "--steps", 2,
               "--out", "run", "--sample-every", 0, "--dtype", "f32", "--lora", 16)
    assert done.returncode == 0, done.stderr
    assert "weights in F32, which are unpacked" in done.stdout
    assert runs.read_settings(Path("run"))["lora"] == 16 and runs_json("run")["r"] == 16
    Model.load("run", flags=GENERATES).logits(TOKENS)
    s = train.Sft(model=str(base))
    assert train.launch.adapter_rank(s, tokenizer) == 0
    tokenizer.specials.pop("<think>")
    assert train.launch.adapter_rank(s, tokenizer) == 16
    assert train.launch.adapter_rank(replace(s, lora=0), tokenizer) == 0
    assert train.launch.adapter_rank(replace(s, resume=True), tokenizer) == 0    # an older run's


@pytest.mark.parametrize("flags, said", [
    (["--lora", 65], "lora is 65, but must be at most 64: a matrix of 64 rows or columns has no"),
    (["--lora", -1], "--lora is -1, but must be in"),
    (["--model", "nowhere"], "nowhere: there is no model in it")])
def test_what_cannot_be_adapted_is_refused(base, flags, said):  # noqa: F811
    done = sft(base, "run", "--steps", 2, *flags) if "--model" not in flags else \
        run(".", "sft", *flags)
    assert done.returncode == 1 and said in done.stderr and done.stderr.count("\n") == 1
    assert not Path("run").exists()
    with pytest.raises(ChatError, match="--lora 4 needs --model"):
        train.check(train.Pretrain(lora=4))


@needs_mpirun
def test_two_ranks_learn_what_one_does(base):  # noqa: F811
    data = write("chats.jsonl", CHATS)
    flags = map(str, ["sft", "--model", base, "--data", data, *FLAGS, "--steps", 3])
    flags = [*flags]
    for ranks in 1, 2:
        finished(mpirun(ranks, *training(*flags, "--out", f"run{ranks}")))
    one, two = (load_file(f"run{n}/{adapter.WEIGHTS}") for n in (1, 2))
    for name in one:
        np.testing.assert_allclose(two[name], one[name], rtol=1e-2, atol=1e-5)
