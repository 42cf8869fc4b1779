"""A model of texts by way of ids has an engine of two parts, without TensorFlow."""

import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import pytest
from tests import versions
from tests.extras import needs_keras_hub
from tests.src.models.backbones.conftest import WORDS, small_bert
from tests.src.use.test_exporting import check

from headrace.models.engines import build_engine, onnx
from headrace.models.engines.stored import open_stored, read_record
from headrace.models.logged.halves import halves
from headrace.state.ledger import Ledger
from headrace.use.exporting import export

pytestmark = [pytest.mark.system, needs_keras_hub]
__all__ = ["small_bert"]  # a fixture

TEXTS = ["Red, blue; RED", "zürich", "b", "a b " * 30, "naïvely\u3000東京 👩‍👩‍👧"]


@pytest.fixture
def coded(settings, small_bert):
    """A home with a registered model of texts by way of a small encoder's ids."""
    model = versions.encoder(small_bert)
    versions.register(settings, "coded", "text", model)
    return settings.model_copy(update={"engines": "auto"}), model


def version_of(settings):
    return Ledger(settings.database_url).version("coded", 1)


def test_it_answers_texts_as_the_model_does_and_without_tensorflow(coded):
    settings, model = coded
    assert halves(model) is not None
    version = version_of(settings)
    assert build_engine(version, settings) is not None
    record = read_record(version, settings)
    assert sorted(record.files) == ["golden.npz", "model.onnx", "pieces.json"]
    assert record.attempt.input.model_dump()["shape"] == (None,)
    script = f"""
import json, sys
import numpy as np
from headrace.models.engines import open_engine
from headrace.settings import Settings
from headrace.state.ledger import Ledger
settings = Settings()
engine = open_engine(Ledger(settings.database_url).version("coded", 1), settings)
texts = np.array({TEXTS!r}, object)
answers = [engine(texts), *(engine(texts[n : n + 1]) for n in range(len(texts)))]
assert engine(texts[:0]).shape == (0, 3)
heavy = {{"tensorflow", "keras", "keras_hub", "tokenizers", "mlflow"}}
print(json.dumps([np.concatenate(answers).tolist(), sorted(heavy & set(sys.modules))]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={
            **os.environ,
            "HEADRACE_HOME": str(settings.home),
            "HEADRACE_ENGINES": "auto",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers, heavy = json.loads(done.stdout)
    assert heavy == []
    expected = np.asarray(model(np.array(TEXTS, object)))
    np.testing.assert_allclose(answers, np.tile(expected, (2, 1)), atol=1e-5)
    assert np.ptp(expected, axis=0).max() > 0.01


def test_a_changed_vocabulary_counts_as_no_engine(coded):
    settings, _ = coded
    version = version_of(settings)
    build_engine(version, settings)
    (file,) = settings.home.rglob("pieces.json")
    file.write_text(file.read_text().replace('"red"', '"rad"'))
    assert open_stored(version, settings) is None


@pytest.mark.parametrize("format_name", ["onnx", "savedmodel"])
def test_an_export_has_both_parts_and_replays_texts(coded, tmp_path, format_name):
    settings, _ = coded
    output = tmp_path / "out"
    assert export("coded/1", format_name, output, settings).difference <= 1e-5
    facts = json.loads((output / "model.json").read_text())
    assert facts["input"]["dtype"] == "int32"
    assert facts["input"]["shape"] == [None]
    assert "pieces.json" in facts["files"]
    readme = (output / "README.txt").read_text()
    assert "int32 (n, any)\n         ids of the word pieces of texts, padded" in readme
    assert 'x = pieces(["a text", "another one"])' in readme
    done = check(output)
    assert done.returncode == 0, done.stderr
    program = readme.partition("In Python:\n\n")[2].partition("\n\ngolden.npz")[0]
    program += "\nassert answers.shape == (2, 3)\n"
    done = subprocess.run([sys.executable, "-c", program], cwd=output, check=False)
    assert done.returncode == 0


def test_a_script_refuses_a_vocabulary_that_makes_other_ids(coded, tmp_path):
    settings, _ = coded
    output = tmp_path / "out"
    export("coded/1", "onnx", output, settings)
    facts = json.loads((output / "model.json").read_text())
    pieces = json.loads((output / "pieces.json").read_text())
    assert tuple(pieces["vocabulary"]) == WORDS
    pieces["before"] = []
    (output / "pieces.json").write_text(json.dumps(pieces))
    facts["files"]["pieces.json"] = versions.digest(output / "pieces.json")
    (output / "model.json").write_text(json.dumps(facts))
    assert check(output).stderr == "failed: pieces.py makes other ids of the texts\n"


def test_exact_gelu_is_written_for_onnx(tmp_path):
    import keras

    given = keras.Input((3,))
    model = keras.Model(given, keras.layers.Activation("gelu")(given))
    values = np.array([[-9, -0.5, 2]], np.float32)
    expected = np.asarray(model(values))
    onnx.export(model, tmp_path)
    engine = onnx.ENGINE({onnx.FILE: (tmp_path / onnx.FILE).read_bytes()}, (3,), 1)
    np.testing.assert_allclose(engine(values), expected, atol=1e-6)


def test_a_large_file_is_read_and_not_kept(coded, monkeypatch, tmp_path):
    settings, model = coded
    version = version_of(settings)
    build_engine(version, settings)
    monkeypatch.setattr(onnx, "_LARGE", 0)
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    engine = open_stored(version, settings)
    assert list(place.iterdir()) == []
    assert engine is not None
    expected = np.asarray(model(np.array(TEXTS, object)))
    answers = engine(np.array(TEXTS, object))
    np.testing.assert_allclose(answers, expected, atol=1e-5)
