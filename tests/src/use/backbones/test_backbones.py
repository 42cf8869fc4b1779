"""A backbone is brought once, tried, and named by pipelines that pin its digest."""

import json
import shutil
import sys
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
from headrace.use.backbones import add, listed, pinned, with_folder

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
    with pytest.raises(Refusal, match="KerasHub makes no backbone of it"):
        add("small", str(bert), home)
    assert not listed(home)


def test_the_licence_that_is_known_stays_until_another_is_given(bert, home):
    (bert / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    assert add("small", str(bert), home).licence_before is None
    (bert / "README.md").write_text("---\nlicense: mit\n---\n")
    other = add("other", str(bert), home)
    assert (other.backbone.licence, other.licence_before) == ("Apache-2.0", None)
    changed = add("third", str(bert), home, licence="MIT")
    assert (changed.backbone.licence, changed.licence_before) == ("MIT", "Apache-2.0")


@pytest.fixture
def keras_bert(bert, tmp_path):
    """The same in KerasHub's form."""
    import keras_hub

    folder = str(tmp_path / "keras")
    keras_hub.models.Backbone.from_preset(str(bert)).save_to_preset(folder)
    keras_hub.models.Tokenizer.from_preset(str(bert)).save_to_preset(folder)
    return Path(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_kerashub_imports_nothing_that_a_configuration_names(
    keras_bert, home, name, tmp_path, monkeypatch
):
    (tmp_path / "evil.py").write_text("class BertBackbone: ...\nBertTokenizer = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    own = json.loads((keras_bert / name).read_text())
    strange = {"module": "evil", "registered_name": f"evil>{own['class_name']}"}
    (keras_bert / name).write_text(json.dumps(own | strange))
    with pytest.raises(Refusal, match="KerasHub makes no backbone of it"):
        add("small", str(keras_bert), home)
    assert not home.store.names("backbones")
    # Of a name that it knows it takes its own class, whatever the module.
    (keras_bert / name).write_text(json.dumps(own | {"module": "evil"}))
    add("small", str(keras_bert), home)
    assert "evil" not in sys.modules


def test_a_backbone_of_kerashub_is_taken_unless_it_is_cut_off(keras_bert, home):
    assert not add("small", str(keras_bert), home, licence="MIT").warnings
    weights = keras_bert / "model.weights.h5"
    weights.write_bytes(weights.read_bytes()[:-2000])
    with pytest.raises(Refusal):
        add("other", str(keras_bert), home)


@pytest.mark.parametrize("kind", ["external", "soft"])
def test_weights_that_lie_in_another_file_are_refused(keras_bert, home, kind):
    import h5py

    link = h5py.ExternalLink("/etc/x", "/a") if kind == "external" else None
    with h5py.File(keras_bert / "model.weights.h5", "a") as file:
        (name, *_) = file["layers"]
        file.move(f"layers/{name}", "elsewhere")
        file[f"layers/{name}"] = link or h5py.SoftLink("/elsewhere")
    with pytest.raises(Refusal, match="KerasHub makes no backbone of it"):
        add("small", str(keras_bert), home)


def test_weights_that_are_not_whole_are_refused(bert, home):
    weights = bert / "model.safetensors"
    whole = weights.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    for data in (b"abc", whole[:-8], (2**62).to_bytes(8, "little") + whole[8:]):
        weights.write_bytes(data)
        with pytest.raises(Refusal, match="KerasHub makes no backbone of it"):
            add("small", str(bert), home)
    header = whole[8 : 8 + length].replace(b'"F32"', b'"OBJ"')
    weights.write_bytes(whole[:8] + header + whole[8 + length :])
    with pytest.raises(Refusal, match="KerasHub makes no backbone of it"):
        add("small", str(bert), home)
    assert not home.store.names("backbones")


def test_the_vocabulary_is_that_of_the_weights_with_the_padding_first(bert, home):
    for words, told in (
        ((*WORDS, "more"), "has 13 word pieces .* the encoder has 12"),
        ((*WORDS[1:], WORDS[0]), "with the padding 11"),
    ):
        (bert / "vocab.txt").write_text("\n".join(words) + "\n")
        with pytest.raises(UsageError, match=told):
            add("small", str(bert), home)
    (bert / "vocab.txt").write_text("a\nb\n")
    with pytest.raises(Refusal, match="KerasHub makes no backbone of it"):
        add("small", str(bert), home)


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


def test_a_spec_that_names_no_backbone_stays(home):
    own = spec_of("large", builder="model:build")
    assert pinned(own, home) == own
    assert not home.store.names("backbones")


def test_what_a_pipeline_names_is_pinned_by_its_digest(bert, home):
    digest = add("small", str(bert), home).backbone.digest
    spec = pinned(spec_of("small"), home)
    assert spec.model.backbone == digest
    assert spec.model.facts["arguments"]["preset"] == digest
    assert pinned(spec, home) == spec
    of_other = spec_of("anything", backbone=digest)
    assert pinned(of_other, home).model.backbone == digest
    own = pinned(spec_of("small", builder="model:build"), home)
    assert own.model.backbone == digest
    there = with_folder(spec, home)
    assert Path(there.model.arguments["preset"], "config.json").is_file()


def test_what_does_not_fit_is_one_error(bert, home):
    digest = add("small", str(bert), home).backbone.digest
    with pytest.raises(NotFoundError, match="no backbone of this name") as info:
        pinned(spec_of("smal"), home)
    assert info.value.action == "Did you mean small?"
    with pytest.raises(SpecError, match="is a backbone for text, and this"):
        pinned(spec_of("small", medium="image"), home)
    with pytest.raises(SpecError, match=rf"{digest[:16]}, and model\.backbone"):
        pinned(spec_of("small", backbone="0" * 64), home)
    with pytest.raises(NotFoundError, match="has no backbone 0000"):
        pinned(spec_of("gone", backbone="0" * 64), home)


def test_the_file_may_not_name_one_backbone_and_hold_the_digest_of_another(bert, home):
    first = add("small", str(bert), home).backbone.digest
    (bert / "vocab.txt").write_text("\n".join((*WORDS[:-1], "c")) + "\n")
    second = add("other", str(bert), home).backbone.digest
    told = rf"{first[:16]}, and model\.backbone says {second[:16]}"
    with pytest.raises(SpecError, match=told):
        pinned(spec_of("small", backbone=second), home)
    of_none = spec_of("gone", backbone=second)
    assert pinned(of_none, home) == of_none


@pytest.mark.parametrize("preset", [5, True, ["small"]])
def test_a_preset_is_text(home, preset):
    with pytest.raises(SpecError, match=r"preset = .* is no text"):
        pinned(spec_of(preset), home)
    own = spec_of(preset, builder="model:build")
    assert pinned(own, home) == own


@pytest.mark.parametrize("preset", ["", "../gone", "hf://a/b"])
def test_what_is_no_name_is_told_to_be_brought_under_one(home, preset):
    with pytest.raises(NotFoundError) as info:
        pinned(spec_of(preset), home)
    assert "`headrace backbone add NAME SOURCE`" in info.value.action
    assert 'preset = "NAME"' in info.value.action


def test_to_look_for_a_backbone_writes_nothing(tmp_path):
    settings = Settings(home=tmp_path / "none")
    with pytest.raises(NotFoundError, match="no backbone of this name"):
        pinned(spec_of("small"), Home(settings))
    assert not settings.home.exists()


def test_a_run_is_not_named_by_the_digest_that_it_fills_in():
    before = {"model.builder": "pretrained", "training.seed": "1"}
    after = before | {"model.backbone": "a" * 64}
    assert name_by_changes("tiny", before, after) == "tiny"
    other = after | {"model.backbone": "b" * 64}
    assert name_by_changes("tiny", after, other).startswith("tiny backbone=bbb")
