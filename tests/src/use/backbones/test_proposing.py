"""Which backbone ``headrace new`` names for texts, without loading one."""

import json
import re
import subprocess
import sys
import tomllib

import numpy as np
import pytest
import soundfile
from tests.extras import needs_keras_hub

from headrace.pipeline import DataSpec, load_spec
from headrace.settings import Settings
from headrace.state import backbones
from headrace.state.backbones import Backbone
from headrace.state.home import Home
from headrace.use.drafting import draft

pytestmark = needs_keras_hub

WORDS = "the was room food bed good bad clean dirty very staff and".split()
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, "##s", "r", "o"]
SHAPE = (1_000, 3_000)  # of the weights, 12 MB as float32


def write_encoder(folder, words=PIECES, *, dtype="F32", rate=0):
    """The files of a backbone; nobody reads its weights here."""
    folder.mkdir(parents=True)
    if rate:
        converter = json.dumps({"config": {"sampling_rate": rate}})
        (folder / "audio_converter.json").write_text(converter)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": true}')
    header = json.dumps({"w": {"dtype": dtype, "shape": SHAPE}}).encode()
    data = len(header).to_bytes(8, "little") + header
    (folder / "model.safetensors").write_bytes(data)
    return folder


@pytest.fixture
def settings(tmp_path):
    return Settings(home=tmp_path / "home", project=tmp_path).prepare_home()


@pytest.fixture
def register(settings):
    """Puts a backbone into the store, under a name."""

    def put(name, words=PIECES, medium="text", **options):
        home = Home(settings)
        with home.store.work_folder(backbones.FOLDER) as work:
            folder = write_encoder(work / "folder", words, **options)
            files = backbones.files_of({p.name: p for p in folder.iterdir()})
            one = Backbone(
                digest=backbones.digest_of(files),
                files=files,
                medium=medium,
                architecture="bert",
                source="a test",
            )
            backbones.keep(one, folder, home)
        backbones.give_name(name, one.digest, home)
        return home.store.path(f"{backbones.FOLDER}/{one.digest}")

    return put


def drafted(settings, each, words=WORDS):
    """The file for a table of texts in two classes, and what is told of it."""
    lines = ["text,label"]
    for number in range(2 * each):
        own = [words[(number * k) % len(words)] for k in (1, 3, 5, 7)]
        lines.append(f"{' '.join(own)} {number // len(words)},{number % 2}")
    (settings.project / "table.csv").write_text("\n".join(lines), encoding="utf-8")
    data = DataSpec(source=str(settings.project / "table.csv"))
    folder, inspection = draft("it", "text", "classification", data, settings)
    file = (folder / "pipeline.toml").read_text()
    load_spec(folder)
    readme = (folder / "README.md").read_text()
    told = " ".join(inspection.survey.sentences)
    assert ("backbone" in told) == ("backbone" in file) == ("backbone" in readme)
    return tomllib.loads(file), told


def drafted_images(settings, side, channels=3):
    """The file for images in two classes, and what is told of it."""
    random = np.random.default_rng(0)
    x = random.integers(0, 256, (40, side, side, channels), np.uint8)
    np.savez(settings.project / "x.npz", x=x, y=np.arange(40) % 2)
    data = DataSpec(source=str(settings.project / "x.npz"))
    folder, inspection = draft("it", "image", "classification", data, settings)
    load_spec(folder)
    written = tomllib.loads((folder / "pipeline.toml").read_text())
    return written, " ".join(inspection.survey.sentences)


def test_a_backbone_is_named_for_photos_without_augmentation(settings, register):
    register("eyes", medium="image")
    register("words", [*PIECES, "more"])
    written, told = drafted_images(settings, 64)
    assert written["model"] == {
        "builder": "pretrained",
        "against": "cnn",
        "arguments": {"preset": "eyes", "train": "head"},
    }
    assert "augment" not in written.get("training", {})
    assert size_of(written) == 100, "which the other family may have as well"
    assert "the backbone eyes sees these images: its head is trained, and so is" in told
    assert "cnn; a run keeps the one with the lower val loss" in told


def drafted_sounds(settings, rate):
    """The model for sounds in two classes, and what is told of it."""
    random = np.random.default_rng(0)
    for number in range(40):
        place = settings.project / "sounds" / str(number % 2)
        place.mkdir(parents=True, exist_ok=True)
        sound = random.normal(0, 0.1, 4_000)
        soundfile.write(place / f"{number}.wav", sound, 16_000, "PCM_16")
    data = DataSpec(source=str(settings.project / "sounds"), sample_rate_hz=rate)
    folder, inspection = draft("it", "audio", "classification", data, settings)
    written = tomllib.loads((folder / "pipeline.toml").read_text())
    return written["model"], " ".join(inspection.survey.sentences)


@pytest.mark.parametrize("rate", [8_000, 16_000])
def test_sounds_of_its_rate_are_compared_with_their_own_family(
    settings, register, rate
):
    register("ears", medium="audio", rate=16_000)
    model, told = drafted_sounds(settings, rate)
    if rate == 8_000:
        assert model == {"builder": "audio_cnn"}
        assert "backbone" not in told
        return
    assert (model["builder"], model["against"]) == ("pretrained", "audio_cnn")
    assert "the backbone ears hears these sounds" in told


@pytest.mark.parametrize(("side", "channels"), [(48, 3), (64, 1)])
def test_small_and_grey_images_have_a_network_of_their_own(
    settings, register, side, channels
):
    register("eyes", medium="image")
    written, told = drafted_images(settings, side, channels)
    assert written["model"]["builder"] == "cnn"
    assert written["training"]["augment"]
    assert "backbone" not in told


def test_photos_without_a_backbone_are_told_that_there_are_some(settings):
    written, told = drafted_images(settings, 64)
    assert written["model"]["builder"] == "cnn"
    assert "headrace backbone add" in told


def size_of(written):
    (size,) = [gate for gate in written["gates"] if gate["name"] == "size"]
    return size.get("threshold")


NUMBERS = [str(number) for number in range(500)]


def test_a_registered_backbone_that_reads_the_texts_is_named(settings, register):
    register("small", [*PIECES, *NUMBERS])
    written, told = drafted(settings, 60)
    assert written["model"]["builder"] == "pretrained"
    assert written["model"]["arguments"] == {"preset": "small", "train": "head"}
    assert size_of(written) == 20
    assert "the backbone small reads these texts (0.0% unknown, 1.0 word" in told


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["房间", "很", "干净", "食物", "不好", "员工"], "small (88.3% unknown"),
        (["roorooroo", "rorororo", "orororo", "roror"], "word pieces a word)"),
    ],
)
def test_one_that_does_not_read_the_script_is_not_named(settings, register, words, why):
    letters = ["##o", "##r"]
    register("small", [*PIECES, *NUMBERS, *letters])
    written, told = drafted(settings, 60, words)
    assert written["model"]["builder"] == "bag_of_ngrams"
    assert size_of(written) is None
    assert "none in the store fits: small (" in told
    assert why in told


def test_without_one_a_line_tells_of_them_where_a_class_has_few_rows(settings):
    written, told = drafted(settings, 60)
    assert written["model"]["builder"] == "bag_of_ngrams"
    assert told.count("headrace backbone add NAME SOURCE") == 1
    assert re.search(r"the rarest label has \d\d rows; with fewer than 100, ", told)


def test_many_texts_of_a_class_get_no_backbone(settings, register, monkeypatch):
    monkeypatch.setattr("headrace.use.backbones.proposing.MOST_OF_A_CLASS", 100)
    register("small", [*PIECES, *NUMBERS])
    assert drafted(settings, 200)[0]["model"]["builder"] == "bag_of_ngrams"


def test_a_damaged_backbone_and_one_of_another_medium_are_not_named(settings, register):
    place = register("small", [*PIECES, *NUMBERS])
    register("eyes", [*PIECES, *NUMBERS[:400]], medium="image")
    with open(f"{place}/vocab.txt", "a") as file:
        file.write("more\n")
    assert drafted(settings, 60)[0]["model"]["builder"] == "bag_of_ngrams"


def test_a_vocabulary_is_tried_without_keras(tmp_path):
    write_encoder(tmp_path / "encoder")
    code = f"""
import sys
from pathlib import Path
from headrace.use.backbones.proposing import fit_of, propose_to_compare
fit = fit_of(Path({str(tmp_path / "encoder")!r}), ["the rooms", "the 词"])
assert fit == (0.2, 1.25), fit
assert not {{"keras", "keras_hub", "tensorflow"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_tags_of_texts_get_a_backbone_too(settings, register):
    register("small", [*PIECES, *NUMBERS])
    lines = ["text,tags"]
    for number in range(120):
        tags = "|".join(("a", "b", "c")[: 1 + number % 3])
        lines.append(f"the {WORDS[number % 12]} room {number},{tags}")
    (settings.project / "table.csv").write_text("\n".join(lines))
    data = DataSpec(source=str(settings.project / "table.csv"), label="tags")
    folder, _ = draft("it", "text", "tagging", data, settings)
    spec = load_spec(folder)
    assert spec.model.arguments == {"preset": "small", "train": "head"}
