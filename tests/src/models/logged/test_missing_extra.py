"""A model that needs KerasHub says so in a sentence where that is not installed."""

import contextlib
import sys

import numpy as np
import pytest
from tests import versions
from tests.extras import needs_keras_hub
from tests.homes import Home
from tests.src.models.backbones.conftest import small_bert

from headrace.errors import UsageError
from headrace.models.engines import EngineProcess, build_engine
from headrace.models.logged.checks import logged_model
from headrace.models.logged.serving_check import CheckRequest, ServingCheck
from headrace.state.ledger import Ledger
from headrace.state.tracking import MODEL_FILE

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("cold"), needs_keras_hub]
__all__ = ["small_bert"]  # a fixture

HIDDEN = "import sys; sys.modules['keras_hub'] = None"
MISSING = "A pretrained backbone needs keras_hub, which is not installed."


@pytest.fixture
def hide(monkeypatch, tmp_path):
    """Have KerasHub be missing, here and in new processes."""

    def hide():
        (tmp_path / "hidden").mkdir()
        (tmp_path / "hidden" / "sitecustomize.py").write_text(HIDDEN)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "hidden"))
        monkeypatch.setitem(sys.modules, "keras_hub", None)

    return hide


@pytest.fixture
def coded(settings, small_bert):
    """A home with a model of texts by way of a small encoder's ids."""
    versions.register(settings, "coded", "text", versions.encoder(small_bert))
    return settings


def version_of(settings):
    return Ledger(settings.database_url).version("coded", 1)


def test_commands_name_the_extra(coded, project, hide):
    home = Home(coded.home, project)
    table, item = project / "items.csv", project / "item.txt"
    table.write_text("text\nthe sea\n")
    item.write_text("the sea")
    hide()
    for command in (
        ("score", "coded/1", str(table), str(project / "answers.csv")),
        ("explain", "coded/1", str(item)),
        ("serve", "coded/1", "--port", "0"),
    ):
        told = home.headrace(*command, "--json")
        assert told.exit_code == 2, told.err
        assert told.json["error"]["message"] == MISSING
        assert "pip install 'headrace[pretrained]'" in told.json["error"]["action"]


def test_an_engine_that_was_built_needs_none(coded, hide):
    settings = coded.model_copy(update={"engines": "auto"})
    version = version_of(settings)
    assert build_engine(version, settings) is not None
    hide()
    with contextlib.closing(EngineProcess(version, settings, "")) as engine:
        assert engine.name == "onnx"
        assert engine(np.array(["the sea"], object)).shape == (1, 3)


def test_the_clean_process_of_a_verification_says_it_too(coded, hide, tmp_path):
    version = version_of(coded)
    (file,) = coded.home.rglob(f"**/{MODEL_FILE}")
    (golden,) = coded.home.rglob("golden.npz")
    copy = tmp_path / "model.keras"
    copy.write_bytes(file.read_bytes())
    request = CheckRequest.of(logged_model(version), copy, golden.read_bytes())
    hide()
    with (
        pytest.raises(UsageError, match=MISSING) as refused,
        ServingCheck([request]) as started,
    ):
        started.results()
    assert "pip install 'headrace[pretrained]'" in refused.value.action
