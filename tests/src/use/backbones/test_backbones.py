"""A backbone is brought once, tried, and named by pipelines that pin its digest."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.extras import needs_keras_hub
from tests.src.models.backbones import lite0
from tests.src.models.backbones.conftest import (
    WORDS,
    small_bert,  # noqa: F401 (a fixture)
)
from tests.src.models.backbones.test_sounds import whisper  # noqa: F401 (a fixture)
from tests.weights import MISSING, minilm

from headrace.errors import (
    DependencyError,
    NotFoundError,
    Refusal,
    SpecError,
    UsageError,
)
from headrace.pipeline import PipelineSpec
from headrace.pipeline.law import name_by_changes
from headrace.settings import Settings
from headrace.state import backbones
from headrace.state.home import Home
from headrace.use.backbones import add, listed
from headrace.use.backbones.pinning import check_backbone, pinned

pytestmark = [pytest.mark.system, needs_keras_hub]


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pipelines" / "tiny").mkdir(parents=True)
    return Settings(home=tmp_path / ".headrace").prepare_home()


@pytest.fixture
def home(settings):
    return Home(settings)


@pytest.fixture
def folder(settings):
    return settings.project / "pipelines" / "tiny"


@pytest.fixture
def bert(small_bert, tmp_path):  # noqa: F811
    """A copy that may be changed."""
    return Path(shutil.copytree(small_bert, tmp_path / "copies" / "bert"))


def spec_of(preset, medium="text", builder="pretrained", **model):
    arguments = {"preset": preset}
    return PipelineSpec.model_validate(
        {
            "name": "tiny",
            "medium": medium,
            "data": {"source": "x.csv"},
            "model": {"builder": builder, "arguments": arguments, **model},
        }
    )


def test_a_backbone_is_kept_once_under_all_of_its_names(bert, home):
    added = add("small", str(bert), home)
    one = added.backbone
    assert added.is_new
    assert [w.check for w in added.warnings] == ["licence"]
    again = add("other", str(bert), home, licence="MIT")
    assert not again.is_new
    assert again.backbone.digest == one.digest
    assert not again.warnings
    assert home.store.names("backbones") == [one.digest]
    assert {*listed(home)} == {"other", "small"}
    assert listed(home)["small"].licence == "MIT"
    assert add("small", str(bert), home).backbone.licence == "MIT"


def test_the_vocabulary_of_minilm_comes_from_its_one_file(home, tmp_path):
    """The package of PyPI, in which a vocabulary of its own is missing."""
    folder = minilm(tmp_path / "minilm")
    if folder is None:
        pytest.skip(MISSING)
    assert not (folder / "vocab.txt").exists()
    one = add("minilm", str(folder), home).backbone
    assert "vocab.txt" in [file.name for file in one.files]


def test_an_efficientnet_with_blocks_of_another_kind_is_taken(home, tmp_path):
    kinds = ["fused", "unfused", "unfused"]
    config = lite0.SMALL | {"stackwise_block_types": kinds}
    lite0.write_preset(tmp_path, config, None, lite0.CONVERTER)
    one = add("second", str(tmp_path), home, licence="MIT").backbone
    assert (one.medium, one.architecture) == ("image", "efficientnet")


def test_a_whisper_is_taken(home, whisper):  # noqa: F811
    one = add("whisper", str(whisper), home, licence="MIT").backbone
    assert (one.medium, one.architecture) == ("audio", "whisper")


def test_a_damaged_copy_is_replaced_by_bringing_it_again(bert, home):
    one = add("small", str(bert), home, licence="MIT").backbone
    damaged = Path(home.store.path(f"backbones/{one.digest}/model.safetensors"))
    data = bytearray(damaged.read_bytes())
    data[-1] ^= 1
    damaged.write_bytes(data)
    with pytest.raises(Refusal, match=r"model\.safetensors is not the file"):
        backbones.local_folder(one.digest, home)
    assert add("small", str(bert), home).backbone == one
    assert backbones.local_folder(one.digest, home)


def test_weights_that_give_no_finite_numbers_are_refused(bert, home):
    from safetensors.numpy import load_file, save_file

    weights = load_file(bert / "model.safetensors")
    weights["embeddings.LayerNorm.bias"] = np.full(16, np.nan, np.float32)
    save_file(weights, bert / "model.safetensors")
    with pytest.raises(Refusal, match="medium text are not finite"):
        add("small", str(bert), home)
    assert not listed(home)
    assert not home.store.names("backbones")


def test_weights_that_do_not_fit_the_configuration_are_refused(bert, home):
    config = json.loads((bert / "config.json").read_text())
    (bert / "config.json").write_text(json.dumps(config | {"hidden_size": 32}))
    with pytest.raises(Refusal, match="No backbone can be made of it"):
        add("small", str(bert), home)
    assert not listed(home)


def test_another_name_leaves_what_is_known_of_a_backbone(bert, home, tmp_path):
    (bert / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    assert add("small", str(bert), home).licence_before is None
    copy = Path(shutil.copytree(bert, tmp_path / "copies" / "other"))
    (copy / "README.md").write_text("---\nlicense: mit\n---\n")
    other = add("other", str(copy), home)
    known = (str(bert), "Apache-2.0")
    assert (other.backbone.source, other.backbone.licence) == known
    assert other.licence_before is None
    changed = add("third", str(copy), home, licence="MIT")
    assert (changed.backbone.source, changed.backbone.licence) == (str(bert), "MIT")
    assert changed.licence_before == "Apache-2.0"
    again = add("small", str(copy), home).backbone
    assert (again.source, again.licence) == (str(copy), "MIT")
    shutil.rmtree(copy)
    assert add("fourth", str(bert), home).backbone.source == str(bert)


def test_a_backbone_of_kerashub_is_taken_unless_it_is_cut_off(bert, home, tmp_path):
    import keras_hub

    folder = str(tmp_path / "keras")
    keras_hub.models.Backbone.from_preset(str(bert)).save_to_preset(folder)
    keras_hub.models.Tokenizer.from_preset(str(bert)).save_to_preset(folder)
    assert not add("small", folder, home, licence="MIT").warnings
    weights = tmp_path / "keras" / "model.weights.h5"
    weights.write_bytes(weights.read_bytes()[:-2000])
    with pytest.raises(Refusal):
        add("other", folder, home)


def test_what_cannot_be_brought_leaves_nothing(bert, home):
    (bert / "model.safetensors").rename(bert / "model.pth")
    with pytest.raises(Refusal, match=r"model\.pth may run code"):
        add("small", str(bert), home)
    with pytest.raises(NotFoundError, match="is no folder"):
        add("small", str(bert / "nowhere"), home)
    with pytest.raises(UsageError, match="is no name"):
        add("../small", str(bert), home)
    for source in ("hf://x", "s3://a/b", "kaggle://a/b"):
        with pytest.raises(UsageError, match="no source of a backbone"):
            add("small", source, home)
    assert not listed(home)
    assert not home.store.names("backbones")


def test_a_missing_extra_is_named_with_how_to_install_it(bert, home, monkeypatch):
    needed = ("keras_hub", "no_such_library")
    monkeypatch.setattr("headrace.models.backbones._NEEDED", needed)
    for source in (str(bert), "hf://a/b"):
        with pytest.raises(UsageError, match="needs no_such_library, which") as info:
            add("small", source, home)
        assert "pip install 'headrace[pretrained]'" in info.value.action
    assert not home.store.names("backbones")


def test_a_download_without_a_network_is_an_error_of_a_dependency(home, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DependencyError, match="hf://a/b cannot be downloaded"):
        add("small", "hf://a/b", home)


def test_a_pipeline_pins_a_folder_of_the_project(bert, home, folder, settings):
    shutil.copytree(bert, settings.project / "backbones" / "small")
    spec = pinned(spec_of("backbones/small"), folder, home)
    digest = backbones.names(home)["backbones/small"]
    assert spec.model.backbone == digest
    assert spec.model.facts["arguments"]["preset"] == digest
    # Pinned, it needs the folder no more; and its name is another way to it.
    shutil.rmtree(settings.project / "backbones")
    assert pinned(spec, folder, home) == spec
    assert pinned(spec_of("backbones/small"), folder, home) == spec
    assert add("hub", str(bert), home).backbone.source == str(bert)
    shutil.copytree(bert, folder / "own")
    assert pinned(spec_of("own"), folder, home).model.backbone == digest
    assert listed(home)["own"].source == str(bert)  # which is a place as good
    of_other = spec_of("anything", backbone=digest)
    assert pinned(of_other, folder, home).model.backbone == digest


def test_a_spec_that_names_no_backbone_stays(home, folder):
    (folder / "large").mkdir()
    own = spec_of("large", builder="model:build")
    assert pinned(own, folder, home) == own
    assert not home.store.names("backbones")


def test_what_does_not_fit_is_one_error(bert, home, folder, settings):
    digest = add("small", str(bert), home).backbone.digest
    for look in (
        lambda spec: pinned(spec, folder, home),
        lambda spec: check_backbone(spec, folder, settings),
    ):
        with pytest.raises(NotFoundError, match="no backbone of this name") as info:
            look(spec_of("smal"))
        assert info.value.action == "Did you mean small?"
        with pytest.raises(UsageError, match="is a backbone for text, and this"):
            look(spec_of("small", medium="image"))
        with pytest.raises(UsageError, match=rf"{digest[:16]}, and model\.backbone"):
            look(spec_of("small", backbone="0" * 64))
        look(spec_of("small"))
    there = check_backbone(spec_of("small"), folder, settings)
    assert Path(there.model.arguments["preset"], "config.json").is_file()


def test_the_file_may_not_name_one_backbone_and_hold_the_digest_of_another(
    bert, home, folder, settings
):
    first = add("small", str(bert), home).backbone.digest
    (bert / "vocab.txt").write_text("\n".join((*WORDS[:-1], "c")) + "\n")
    second = add("other", str(bert), home).backbone.digest
    spec = spec_of("small", backbone=second)
    told = rf"{first[:16]}, and model\.backbone says {second[:16]}"
    with pytest.raises(SpecError, match=told):
        check_backbone(spec, folder, settings)
    with pytest.raises(SpecError, match=told):
        pinned(spec, folder, home)
    of_none = spec_of("gone", backbone=second)
    check_backbone(of_none, folder, settings)
    assert pinned(of_none, folder, home) == of_none
    own = shutil.copytree(bert, settings.project / "own")
    for look in (
        lambda spec: check_backbone(spec, folder, settings),
        lambda spec: pinned(spec, folder, home),
    ):
        with pytest.raises(SpecError, match=rf"model\.backbone says {first[:16]}"):
            look(spec_of(own.name, backbone=first))
        look(spec_of(own.name, backbone=second))


@pytest.mark.parametrize("preset", [5, True, ["small"]])
def test_a_preset_is_text(home, folder, settings, preset):
    for look in (
        lambda spec: check_backbone(spec, folder, settings),
        lambda spec: pinned(spec, folder, home),
    ):
        with pytest.raises(SpecError, match=r"preset = .* is no text"):
            look(spec_of(preset))
        own = spec_of(preset, builder="model:build")
        assert look(own) == own


def test_a_folder_is_one_of_the_project_and_for_its_medium_before_it_is_kept(
    bert, home, folder, settings, tmp_path_factory
):
    outside = tmp_path_factory.mktemp("elsewhere") / "bert"
    outside.mkdir()
    (outside / "config.json").write_text("no JSON: it is not read")
    (settings.project / "linked").symlink_to(outside)
    shutil.copytree(bert, settings.project / "own")
    up = os.path.relpath(outside, folder)
    for look in (
        lambda spec: check_backbone(spec, folder, settings),
        lambda spec: pinned(spec, folder, home),
    ):
        for preset in (str(outside), up, "linked"):
            with pytest.raises(SpecError, match="is no folder of the project") as info:
                look(spec_of(preset))
            assert f"add NAME {outside.resolve()}" in info.value.action
        with pytest.raises(SpecError, match="is a backbone for text, and this"):
            look(spec_of("own", medium="image"))
    assert not listed(home)
    assert not home.store.names("backbones")


@pytest.mark.parametrize("preset", ["", "../gone", "hf://a/b"])
def test_what_is_no_name_is_told_to_be_brought_under_one(
    home, folder, settings, preset
):
    for look in (
        lambda spec: check_backbone(spec, folder, settings),
        lambda spec: pinned(spec, folder, home),
    ):
        with pytest.raises(NotFoundError) as info:
            look(spec_of(preset))
        assert "`headrace backbone add NAME SOURCE`" in info.value.action
        assert 'preset = "NAME"' in info.value.action


def test_a_check_writes_nothing(bert, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = Settings(home=tmp_path / "none")
    check_backbone(spec_of(str(bert)), tmp_path, settings)
    with pytest.raises(NotFoundError, match="no backbone of this name"):
        check_backbone(spec_of("small"), tmp_path, settings)
    assert not settings.home.exists()


def test_a_run_is_not_named_by_the_digest_that_it_fills_in():
    before = {"model.builder": "pretrained", "training.seed": "1"}
    after = before | {"model.backbone": "a" * 64}
    assert name_by_changes("tiny", before, after) == "tiny"
    other = after | {"model.backbone": "b" * 64}
    assert name_by_changes("tiny", after, other).startswith("tiny backbone=bbb")
