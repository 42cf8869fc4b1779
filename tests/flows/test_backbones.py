"""A pretrained backbone by the command line: brought, trained on, refused."""

import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.extras import needs_keras_hub
from tests.homes import Home, states, values_of
from tests.src.models.backbones import lite0
from tests.src.models.backbones.conftest import (
    CONFIG,
    small_bert,  # noqa: F401 (a fixture)
)

from headrace.state.ledger import Ledger

pytestmark = needs_keras_hub


PIPELINE = """
medium = "text"
data = { source = "items.csv", item = "text", label = "label" }
model = { builder = "pretrained", arguments = { preset = "small" } }
training = { epochs = 2, seed = 1 }
evaluation = { depth = "quick" }
promotion = { licence = ["Apache-2.0"] }
[[gates]]
name = "accuracy"
metric = "test_accuracy"
direction = "min"
threshold = 0
"""


@pytest.fixture
def texts(tmp_path, prefect_server):
    """A project with a pipeline of texts, and an empty home."""
    folder = tmp_path / "pipelines" / "tiny"
    folder.mkdir(parents=True)
    (folder / "pipeline.toml").write_text(PIPELINE)
    rows = [
        f"{word} a {number},{label}"
        for number in range(40)
        for word, label in (("red", "warm"), ("blue", "cold"))
    ]
    (folder / "items.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    return Home(tmp_path / "home", tmp_path)


@pytest.fixture
def bert(small_bert, tmp_path):  # noqa: F811
    """A folder that may be changed."""
    return Path(shutil.copytree(small_bert, tmp_path / "copies" / "bert"))


def loaded_by(home, *arguments):
    """What a process of a command has loaded at its end."""
    code = f"""
import contextlib, json, sys
from headrace_cli.main import main
sys.argv = {["headrace", *arguments]!r}
with contextlib.suppress(SystemExit):
    main()
print(json.dumps(sorted(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**home.environment, "PATH": ""},
        cwd=home.project,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def check_bundle(texts, digest, tmp_path):
    """The bundle lists the backbone, and is checked without the store."""
    bundle = tmp_path / "tiny.tar"
    packed = texts.headrace(
        *("export", "tiny", "--evidence", "--output", str(bundle), "--json")
    )
    assert packed.exit_code == 0, packed.err
    shutil.unpack_archive(bundle, tmp_path / "unpacked")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    manifest = json.loads((unpacked / "manifest.json").read_text())
    assert manifest["backbone"]["digest"] == digest
    assert manifest["backbone"]["licence"] == "Apache-2.0"
    card = (unpacked / "card.html").read_text()
    assert digest in card
    assert "Apache-2.0" in card
    elsewhere = Home(tmp_path / "nowhere", tmp_path)
    assert elsewhere.headrace("verify", str(bundle), "--json").exit_code == 0


def check_damage(texts, digest, bert):
    """A changed byte is named by what reads it, with the command that mends it."""
    weights = texts.path / "store" / "backbones" / digest / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    broken = texts.headrace("run", "tiny", "--set", "training.seed=2", "--json")
    assert broken.exit_code == 1
    assert f"{weights} is not the file that was recorded" in broken.json["reason"]
    assert f"headrace backbone add small {bert}" in broken.json["reason"]
    add = ["backbone", "add", "small", str(bert), "--licence", "Apache-2.0", "--json"]
    assert texts.headrace(*add).exit_code == 0
    assert weights.read_bytes() != data


def test_a_backbone_goes_with_its_model_from_the_store_to_the_bundle(
    texts, bert, tmp_path, monkeypatch
):
    add = ["backbone", "add", "small", str(bert), "--json"]
    added = texts.headrace(*add)
    assert added.exit_code == 0, added.err
    assert added.json["status"] == "added"
    assert [one["check"] for one in added.json["warnings"]] == ["licence"]
    digest = added.json["digest"]

    refused = texts.headrace("run", "tiny", "--json")
    assert (refused.exit_code, refused.json["status"]) == (1, "refused"), refused.err
    no_licence = "the backbone small states no licence, and promotion.licence allows"
    assert refused.json["reason"] == f"promotion.licence: {no_licence} Apache-2.0"
    assert "licence" in [one["check"] for one in refused.json["warnings"]]
    by_hand = texts.headrace("promote", "tiny", "1", "--json")
    assert by_hand.exit_code == 1
    assert no_licence in by_hand.json["reason"]
    monkeypatch.setenv("HF_TOKEN", "hf_of_ada")
    pushed = texts.headrace(
        *("export", "tiny/1", "--format", "onnx", "--output", str(tmp_path / "out")),
        *("--push", "hf://ada/tiny", "--json"),
    )
    assert pushed.exit_code == 1
    assert f"tiny version 1 is not pushed: {no_licence}" in pushed.json["reason"]
    assert not (tmp_path / "out").exists()

    assert texts.headrace(*add, "--licence", "MIT").json["licence_before"] == ""
    refused = texts.headrace("run", "tiny", "--json")
    assert "the backbone small has the licence MIT" in refused.json["reason"]
    told = texts.headrace(*add[:-1], "--licence", "Apache-2.0").out
    assert f"the licence of {digest[:16]} is now Apache-2.0 (before: MIT)" in told
    promoted = texts.headrace("run", "tiny", "--json")
    assert promoted.json["status"] == "promoted", promoted.err
    states = {one["name"]: one["state"] for one in promoted.json["stages"]}
    assert states["train"] == "cached"
    assert promoted.json["overrides"] == []
    assert "licence" not in [one["check"] for one in promoted.json["warnings"]]

    version = Ledger(f"sqlite:///{texts.path}/headrace.db").version("tiny", 1)
    recorded = version.details["training"]["backbone"]
    assert (recorded["name"], recorded["digest"]) == ("small", digest)
    tags = "SELECT value FROM tags WHERE key = 'mlflow.headrace.backbone'"
    cards = "SELECT description FROM model_versions"
    assert values_of(texts.path / "mlflow.db", tags) == [digest]
    (card,) = values_of(texts.path / "mlflow.db", cards)
    assert f"- Base model small (bert, Apache-2.0) from {bert}, `{digest}`" in card
    loaded = loaded_by(texts, "run", "tiny", "--json")
    assert "headrace_flows.run" in loaded
    assert not loaded & {"keras_hub", "safetensors", "keras", "tokenizers"}

    texts.assert_reproduced("tiny/1")
    check_bundle(texts, digest, tmp_path)
    check_damage(texts, digest, bert)


def test_bad_input_is_one_sentence_and_downloads_nothing(texts, bert):
    def answer(*words):
        given = texts.headrace(*words, "--json")
        return given.exit_code, given.json["reason"]

    add = ("backbone", "add", "small", str(bert))
    code, reason = answer("run", "tiny")
    assert code == 2
    assert "'small': there is no backbone of this name" in reason
    assert answer("check", "tiny") == (2, reason)
    for words, code, text in (
        (("backbone", "add", "small"), 2, "takes a name and a source"),
        (("backbone", "list", "small"), 2, "takes no name"),
        (("backbone", "add", "a b", str(bert)), 2, "is no name for a backbone"),
        (("backbone", "add", "small", "nowhere"), 2, "nowhere is no folder"),
        (("backbone", "add", "small", "ftp://a/b"), 2, "is no source of a backbone"),
    ):
        found, reason = answer(*words)
        assert (found, text in reason) == (code, True), reason
    (bert / "vocab.txt").rename(bert / "words.txt")
    code, reason = answer(*add)
    assert code == 2
    assert "has no vocabulary" in reason
    (bert / "words.txt").rename(bert / "vocab.txt")
    (bert / "model.safetensors").rename(bert / "weights.pth")
    code, reason = answer(*add)
    assert code == 1
    assert "weights.pth may run code when it is read, and is not taken" in reason
    (bert / "weights.pth").rename(bert / "model.safetensors")
    assert texts.headrace("backbone", "list", "--json").json == {"backbones": []}
    assert texts.headrace(*add).exit_code == 0
    code, reason = answer("run", "tiny", "--set", "model.backbone=" + "0" * 64)
    assert code == 2
    assert "model.backbone says 0000" in reason
    other = texts.project / "other"
    shutil.copytree(bert, other)
    (other / "config.json").write_text(json.dumps(CONFIG | {"initializer_range": 1}))
    added = texts.headrace("backbone", "add", "other", str(other), "--json").json
    held = f"model.backbone={added['digest']}"
    code, reason = answer("run", "tiny", "--set", held)
    assert code == 2
    assert f"model.backbone says {added['digest'][:16]}" in reason
    assert answer("check", "tiny", "--set", held) == (code, reason)
    code, reason = answer("run", "tiny", "--set", "model.arguments.preset=5")
    assert code == 2
    assert "model.arguments.preset = 5 is no text" in reason
    assert answer("check", "tiny", "--set", "model.arguments.preset=5") == (2, reason)
    image = texts.project / "pipelines" / "photos"
    image.mkdir()
    (image / "pipeline.toml").write_text(
        'medium = "image"\ndata = { source = "x.npz" }\n'
        'model = { builder = "pretrained", arguments = { preset = "small" } }\n'
    )
    code, reason = answer("run", "photos")
    assert code == 2
    assert "'small' is a backbone for text, and this pipeline's medium is" in reason
    listed = texts.headrace("backbone", "list")
    assert "small" in listed.out
    assert "bert" in listed.out


def test_a_deployment_has_the_digest_and_needs_the_folder_no_more(
    texts, bert, client, monkeypatch
):
    from headrace.pipeline import PipelineSpec
    from headrace_flows.train import new_run

    pipeline = texts.project / "pipelines" / "tiny" / "pipeline.toml"
    pipeline.write_text(PIPELINE + "[deploy]\n")
    assert texts.headrace("backbone", "add", "small", str(bert)).exit_code == 0
    deployed = texts.headrace("deploy", "tiny", "--json")
    assert deployed.exit_code == 0, deployed.err
    parameters = client.read_deployment_by_name("train/tiny").parameters
    (listed,) = texts.headrace("backbone", "list", "--json").json["backbones"]
    assert listed["name"] == "small"
    assert parameters["pipeline"]["model"]["backbone"] == listed["digest"]

    shutil.rmtree(bert)
    changed = ["--set", "training.epochs=3", "--json"]
    started = texts.headrace("run", "tiny", "--deployed", *changed)
    assert started.exit_code == 0, started.err
    started = client.read_flow_run(started.json["flow_run_id"]).parameters
    texts.enter(monkeypatch)
    for one in (parameters, {**parameters, **started}):
        run = new_run(PipelineSpec.model_validate(one["pipeline"]), one["folder"])
        assert run.spec.model.backbone == listed["digest"]
        assert run.title.startswith("tiny")
        assert "backbone" not in run.title


def test_a_trigger_may_not_name_another_backbone_than_the_deployed_file_holds(
    texts, bert, client
):
    held = texts.headrace("backbone", "add", "small", str(bert), "--json").json
    (bert / "config.json").write_text(json.dumps(CONFIG | {"initializer_range": 1}))
    other = texts.headrace("backbone", "add", "other", str(bert), "--json").json
    pipeline = texts.project / "pipelines" / "tiny" / "pipeline.toml"
    of_model = f'backbone = "{held["digest"]}", arguments'
    pipeline.write_text(PIPELINE.replace("arguments", of_model) + "[deploy]\n")
    deployed = texts.headrace("deploy", "tiny", "--json")
    assert deployed.exit_code == 0, deployed.err
    another = ["--set", "model.arguments.preset=other"]
    refused = texts.headrace("run", "tiny", "--deployed", *another, "--json")
    assert refused.exit_code == 2
    assert f"model.backbone says {held['digest'][:16]}" in refused.json["reason"]
    both = [*another, "--set", f"model.backbone={other['digest']}", "--json"]
    started = texts.headrace("run", "tiny", "--deployed", *both)
    assert started.exit_code == 0, started.err
    started = client.read_flow_run(started.json["flow_run_id"]).parameters
    assert started["pipeline"]["model"]["backbone"] == other["digest"]


def test_new_names_a_backbone_and_the_pipeline_runs_and_explains_without_an_edit(
    texts, bert
):
    assert texts.headrace("backbone", "add", "small", str(bert)).exit_code == 0
    words = {"warm": ("red", "a", "zurich"), "cold": ("blue", "b", "naively")}
    lines = [
        f"{' '.join(text)},{label}"
        for label, own in words.items()
        for text in itertools.islice(itertools.product(own, repeat=5), 20, 80)
    ]
    table = texts.project / "few.csv"
    table.write_text("\n".join(["text,label", *lines]) + "\n")
    drafted = texts.headrace("new", "few", "--medium", "text", "--data", str(table))
    assert drafted.exit_code == 0, drafted.err
    assert "the backbone small reads these texts (0.0% unknown, " in drafted.out
    answer = texts.headrace("run", "few", "--json")
    assert answer.json["status"] == "promoted", answer.json["reason"]
    size = next(gate for gate in answer.json["gates"] if gate["name"] == "size")
    assert size["passed"]
    given = ("explain", "few", "red a blue zurich red", "--json")
    explained = texts.headrace(*given).json
    sanity = explained["sanity"]
    assert sanity["status"] in ("passed", "failed"), "it was checked"
    if explained["parts"]:
        sign = 1 if explained["of"] == "warm" else -1
        values = {part["name"]: sign * part["value"] for part in explained["parts"]}
        assert values["blue"] == min(values.values())


def test_new_has_a_backbone_for_photos_compared_with_another_family(
    tmp_path, prefect_server
):
    home = Home(tmp_path / "home", tmp_path)
    eyes, random = tmp_path / "eyes", np.random.default_rng(0)
    lite0.small_preset(eyes)
    y = np.arange(100) % 2
    x = random.integers(0, 150, (100, 64, 64, 3), np.uint8)
    x[y == 1, :, :, 0] += 100
    np.savez(tmp_path / "x.npz", x=x, y=y)
    assert home.headrace("backbone", "add", "eyes", str(eyes)).exit_code == 0
    new = ("new", "photos", "--medium", "image", "--data", str(tmp_path / "x.npz"))
    drafted = home.headrace(*new)
    assert drafted.exit_code == 0, drafted.err
    path = tmp_path / "pipelines" / "photos" / "pipeline.toml"
    written = path.read_text()
    assert 'against = "cnn"' in written
    path.write_text(written.replace('against = "cnn"', 'against = "mlp"'))

    answer = home.headrace("run", "photos", "--json")
    assert answer.exit_code == 0, answer.err
    choice = answer.json["choice"]
    assert [one["builder"] for one in choice["candidates"]] == ["pretrained", "mlp"]
    assert choice["run_id"] == answer.json["run_id"]
    line = f"{choice['kept']} is kept"
    assert line in answer.err
    (train,) = (one for one in answer.json["stages"] if one["name"] == "train")
    assert train["why"].startswith("first run; pretrained val loss ")
    assert train["why"].endswith(line)
    query = "SELECT value FROM tags WHERE key = 'choice'"
    (first, second) = values_of(home.path / "mlflow.db", query)
    assert first == second
    assert first.endswith(line)
    names = values_of(home.path / "mlflow.db", "SELECT name FROM runs ORDER BY name")
    assert names == ["photos pretrained", "photos v1 mlp"]
    (report,) = home.path.rglob("report.html")
    assert "Models to choose from" in report.read_text()
    version = Ledger(f"sqlite:///{home.path}/headrace.db").version("photos", 1)
    assert version.run_id == choice["run_id"]

    loaded = loaded_by(home, "run", "photos", "--json")
    assert "headrace_flows.run" in loaded
    assert not loaded & {"keras_hub", "keras", "tensorflow"}
    again = home.headrace("run", "photos", "--json").json
    assert again["status"] == "unchanged"
    assert again["choice"] == choice
    assert set(states(again).values()) == {"cached"}
    assert home.headrace("gc", "--older", "0", "--json").exit_code == 0
    assert home.headrace("run", "photos", "--json").json["status"] == "unchanged"
    home.assert_reproduced("photos/1")
