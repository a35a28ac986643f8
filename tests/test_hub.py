"""data/download.py: models from Hugging Face's hub, which a local server plays."""

import hashlib
import json

import pytest

from csrc.runs import find_model
from data import download
from test_download import (HALF, answer, command, drop, names, site, status,  # noqa: F401
                           waits)                # (site and waits are fixtures)

VERSION = "0123456789abcdef0123456789abcdef01234567"
WEIGHTS = bytes(range(256)) * 2000
FOLDER = ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json",
          "tokenizer_config.json"]


@pytest.fixture
def hub(site, monkeypatch, tmp_path):
    """A function (OWNER/NAME, *files) that puts a model on the hub, in an empty folder."""
    monkeypatch.setenv("HF_ENDPOINT", site.address + "/")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.chdir(tmp_path)

    def put(model, *files, sha256=hashlib.sha256(WEIGHTS).hexdigest()):
        listed = []
        for file in files:
            large = file.endswith((".safetensors", ".gguf"))
            site.add(f"/{model}/resolve/{VERSION}/{file}", body=WEIGHTS if large else b"{}")
            listed.append({"rfilename": file, **({"lfs": {"sha256": sha256}} if large else {})})
        site.add(f"/api/models/{model}?blobs=true",
                 body=json.dumps({"sha": VERSION, "siblings": listed}).encode())
    return put


def test_a_model_by_its_name_is_one_file_that_chats(hub, site, tmp_path, capsys):
    owner, model, pattern = download.table()["smollm2-135m"].hub.split("/")
    file = pattern.replace("*", "SmolLM2-135M")
    hub(f"{owner}/{model}", "README.md", "SmolLM2-135M-Q4_0.gguf", file)
    command("smollm2-135m")
    place = tmp_path / "build" / "models" / "smollm2-135m"
    assert names(place) == [file] and (place / file).read_bytes() == WEIGHTS
    said = capsys.readouterr().out
    assert "next: python infer.py chat --model build/models/smollm2-135m\n" in said
    assert find_model(place) == place / file
    command("smollm2-135m")
    assert "there already" in capsys.readouterr().out


def test_a_folder_s_files_come_and_no_others(hub, tmp_path):
    hub("some/model", *FOLDER, "README.md", "consolidated.safetensors", "onnx/model.safetensors",
        "pytorch_model.bin", "model-q8.gguf", "merges.txt", "tokenizer.model",
        "chat_template.jinja")
    command("some/model")
    assert names(tmp_path / "build" / "models" / "some-model") == sorted(
        [*FOLDER, "merges.txt", "tokenizer.model", "chat_template.jinja"])
    command("some/model/model-q8.gguf", "--out", tmp_path / "one")
    assert names(tmp_path / "one") == ["model-q8.gguf"]


def test_weights_are_taken_up_where_the_connection_broke_and_verified(hub, site, tmp_path):
    hub("some/model", "a.gguf")
    weights = f"/some/model/resolve/{VERSION}/a.gguf"
    site.answers[weights] = [answer(cut=HALF), drop, answer(cut=-5)]
    command("some/model/a.gguf", "--out", tmp_path / "out")
    assert (tmp_path / "out" / "a.gguf").read_bytes() == WEIGHTS
    assert [span and span.startswith("bytes=") for span in site.ranges()[1:]] == \
        [None, True, True, True]
    hub("some/model", "b.gguf", sha256="0" * 64)
    with pytest.raises(SystemExit, match="b.gguf: the sha256 of what came is .*, not 0000"):
        command("some/model/b.gguf", "--out", tmp_path / "out")
    assert not (tmp_path / "out" / "b.gguf").exists()


def test_what_is_not_there_is_said_with_what_is(hub, site):
    hub("some/model", "a.Q4_0.gguf", "a.Q8_0.gguf", "config.json")
    for place in "some/model", "some/model/*.Q5_0.gguf":
        with pytest.raises(SystemExit, match="there are no such weights, but name one of "
                                             "a.Q4_0.gguf, a.Q8_0.gguf behind some/model/"):
            command(place)
    for code in 401, 404:
        site.answers["/api/models/some/other?blobs=true"] = [status(code)]
        with pytest.raises(SystemExit, match=f"the server says {code}.*with HF_TOKEN set"):
            command("some/other")


def test_without_a_network_one_sentence_says_how_to_get_a_model_here(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(SystemExit, match="where there is no network, run `python data/download.py "
                       "tinyllama` on a machine that has one, and copy build/models/tinyllama"):
        command("tinyllama")
    assert not (tmp_path / "build").exists()


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"sha": "x"}', b"<html>", b"\xff",
                                  b'{"sha": "x", "siblings": [7]}', b"[" * 99999,
                                  b'{"sha": "x", "siblings": {"rfilename": "a"}}'])
def test_an_answer_that_is_no_hub_s_is_refused(hub, site, body):
    site.add("/api/models/some/model?blobs=true", body=body)
    with pytest.raises(SystemExit, match="/some/model.blobs=true: is no hub's answer"):
        command("some/model")


def test_the_token_goes_to_the_hub(hub, site, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub("some/model", "a.gguf")
    command("some/model/a.gguf")
    assert {headers.get("Authorization") for _, headers in site.requests} == {"Bearer hf_secret"}


@pytest.mark.parametrize("file", ["../a.gguf", "/etc/a.gguf", "x/../../a.gguf", "..", "a\n.gguf"])
def test_no_file_of_a_model_is_written_elsewhere(hub, tmp_path, file):
    hub("some/model", file, "model.safetensors")
    command("some/model")
    assert names(tmp_path / "build" / "models" / "some-model") == ["model.safetensors"]


def test_models_of_the_table_are_on_the_hub_by_a_pattern():
    models = {name: corpus.hub for name, corpus in download.table().items() if corpus.hub}
    assert {"smollm2-135m", "qwen3-0.6b", "gemma-3-270m", "tinyllama", "llama-3.2-1b"} <= {*models}
    for name, place in models.items():
        assert download.ON_HUB.fullmatch(place) and place.endswith(".gguf") and "*" in place
        assert download.place_of(name) == place and download.table()[name].licence
    assert download.place_of("CC-MAIN-2025-26/wet") is None
    assert download.place_of("Qwen/Qwen3-0.6B") == "Qwen/Qwen3-0.6B"
