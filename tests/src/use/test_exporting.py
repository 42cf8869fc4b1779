"""An export is whole, gives the golden answers, and needs nothing of Headrace."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests import versions
from tests.homes import Home
from tests.src.tasks.generation.models import DATA, a_model

from headrace.errors import NotFoundError, Refusal, UsageError
from headrace.imports.backend import load_backend
from headrace.models.engines import savedmodel
from headrace.state.ledger import Ledger
from headrace.use.exporting import export

pytestmark = pytest.mark.system

FILES = {
    "onnx": {"model.onnx"},
    "savedmodel": {"saved_model"},
}


def check(folder):
    """Run the script that came with an export, without Headrace in its path."""
    done = subprocess.run(
        [sys.executable, "-I", str(folder / "check.py")],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={**os.environ, "HOME": str(folder.parent)},
    )
    return done


@pytest.mark.parametrize(
    ("model", "format_name", "dtype"),
    [
        ("images", "onnx", "float32"),
        ("audios", "onnx", "float32"),
        ("texts", "savedmodel", "string"),
    ],
)
def test_others_get_the_golden_answers_of_an_export(
    built, tmp_path, model, format_name, dtype
):
    output = tmp_path / "below" / "out"
    exported = export(f"{model}/1", format_name, output, built)
    assert exported.difference <= 1e-5
    names = {path.name for path in output.iterdir()}
    assert names == FILES[format_name] | {
        *("README.txt", "check.py", "golden.npz", "model.json")
    }
    facts = json.loads((output / "model.json").read_text())
    version = Ledger(built.database_url).version(model, 1)
    description = versions.DESCRIPTIONS[model[:-1]]
    shape = [] if dtype == "string" else [*description.shape]
    assert facts["model_digest"] == version.model_digest
    assert (facts["input"]["dtype"], facts["input"]["shape"]) == (dtype, shape)
    assert facts["output"]["classes"] == list(versions.CLASSES)
    assert facts["files"] == exported.files
    for name, digest in exported.files.items():
        assert versions.digest(output / name) == digest
    readme = (output / "README.txt").read_text()
    for told in (
        f"{model} version 1",
        facts["input"]["name"],
        dtype,
        "sea, hill, city",
    ):
        assert told in readme
    done = check(output)
    assert done.returncode == 0, done.stderr
    assert "golden answers differ by" in done.stdout


@pytest.fixture
def writer(settings):
    """A registered language model."""
    load_backend()
    _, _, network = a_model("gru_lm")
    versions.register(settings, "plays", "text", network, DATA)
    return settings


def test_a_language_model_is_exported_for_texts_of_any_length(writer, tmp_path):
    output = tmp_path / "out"
    assert export("plays/1", "savedmodel", output, writer).difference <= 1e-5
    readme = (output / "README.txt").read_text()
    assert "int32 (n, any)\n         code points of texts, padded with" in readme
    assert "the loss of each text in nats, and its number of characters" in readme
    done = check(output)
    assert done.returncode == 0, done.stderr


def test_a_task_says_what_its_exported_models_take_and_give(monkeypatch):
    readme = importlib.import_module("headrace.use.exporting.readme")
    own = {"INPUT": "notes of a tune", "OUTPUT": "how it goes on"}
    monkeypatch.setattr(readme, "task_default", lambda _task, name: own[name])
    given = {"name": "x", "dtype": "int32", "shape": [None]}
    facts = {"model": "tunes", "version": 1, "format": "onnx", "files": {}}
    facts |= {"medium": "text", "task": "mine", "input": given}
    lines = readme.usage(facts | {"output": {"shape": [2]}})
    assert "         notes of a tune" in lines
    assert "         how it goes on" in lines


def test_a_language_model_is_no_engine_and_that_is_said_in_words(writer, tmp_path):
    with pytest.raises(Refusal, match="its items have any length") as refused:
        export("plays/1", "onnx", tmp_path / "out", writer)
    assert "Try --format savedmodel." in str(refused.value)


def test_the_script_tells_a_changed_file_and_other_answers(built, tmp_path):
    output = tmp_path / "out"
    export("images/1", "onnx", output, built)
    golden = output / "golden.npz"
    with np.load(golden) as arrays:
        inputs, outputs = arrays["inputs"], arrays["outputs"]
    np.savez(golden, inputs=inputs, outputs=outputs + 1e-3)
    done = check(output)
    assert done.returncode == 1
    assert done.stderr == "failed: golden.npz is not the file that was exported\n"
    facts = json.loads((output / "model.json").read_text())
    facts["files"]["golden.npz"] = versions.digest(golden)
    (output / "model.json").write_text(json.dumps(facts))
    done = check(output)
    assert done.returncode == 1
    assert "failed: the answers differ by 0.001, more than 1e-05" in done.stderr
    (output / "model.onnx").unlink()
    assert check(output).stderr == "failed: model.onnx is missing\n"


@pytest.mark.parametrize(
    ("model", "format_name", "reason"),
    [
        ("texts", "onnx", r"cannot be (exported|used): \w+"),
        ("wild", "onnx", r"its answers differ by [\d.]+, more than 1e-05"),
    ],
)
def test_an_export_that_does_not_give_the_answers_is_refused(
    built, tmp_path, model, format_name, reason
):
    with pytest.raises(Refusal, match=f"{model} version 1 .* {format_name}.*{reason}"):
        export(f"{model}/1", format_name, tmp_path / "out", built)
    assert not [path for path in tmp_path.iterdir() if path != built.home]


def test_a_folder_with_files_is_not_touched(built, tmp_path):
    output = tmp_path / "out"
    output.mkdir()
    export("images/1", "onnx", output, built)  # an empty one is
    before = sorted(output.rglob("*"))
    with pytest.raises(UsageError, match="out is not empty"):
        export("images/1", "savedmodel", output, built)
    assert sorted(output.rglob("*")) == before
    with pytest.raises(UsageError, match="exists and is no folder"):
        export("images/1", "onnx", output / "model.onnx", built)
    for parent in (output / "model.onnx", Path("/proc")):
        with pytest.raises(UsageError, match=f"cannot be made in {parent}"):
            export("images/1", "onnx", parent / "new", built)


def test_what_is_missing_is_named(built, tmp_path, monkeypatch):
    with pytest.raises(NotFoundError, match="no version 2 of images"):
        export("images/2", "onnx", tmp_path / "out", built)
    home = tmp_path / "nowhere"
    places = {"home": home, "database_url": f"sqlite:///{home}/headrace.db"}
    nowhere = built.model_copy(update=places)
    with pytest.raises(NotFoundError, match="There is no home"):
        export("images", "onnx", tmp_path / "out", nowhere)
    monkeypatch.setattr(savedmodel, "RUNTIME", "no-such-distribution")
    with pytest.raises(UsageError, match=r"savedmodel needs no-such-distribution"):
        export("images/1", "savedmodel", tmp_path / "out", built)


def test_the_command_answers_in_words_and_in_json(built, tmp_path, project):
    home = Home(built.home, project)
    arguments = ("export", "images/1", "--format", "onnx", "--output")
    told = home.headrace(*arguments, str(tmp_path / "one"))
    assert told.exit_code == 0, told.err
    assert f"images version 1 is in {tmp_path / 'one'}" in told.out
    answer = home.headrace(*arguments, str(tmp_path / "two"), "--json")
    assert answer.exit_code == 0
    assert answer.json["status"] == "ok"
    assert answer.json["format"] == "onnx"
    refused = home.headrace(
        *("export", "texts/1", "--format", "onnx", "--output"),
        *(str(tmp_path / "three"), "--json"),
    )
    assert refused.exit_code == 1
    assert "--format savedmodel" in refused.json["error"]["action"]
    wrong = home.headrace(
        *("export", "images/1", "--format", "pickle", "--output"),
        *(str(tmp_path / "four"), "--json"),
    )
    assert wrong.exit_code == 2
