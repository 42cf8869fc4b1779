"""What a pipeline that is made from its data says."""

import tomllib

import numpy as np
import pytest
from PIL import Image

from headrace.errors import Refusal, UsageError
from headrace.models import builder_names
from headrace.pipeline import DataSpec, TrainingSpec, load_spec
from headrace.pipeline.families import least_steps, recipe_of
from headrace.pipeline.files import FILE_NAME
from headrace.planning.candidates import epochs_for
from headrace.records import DataDescription
from headrace.settings import Settings
from headrace.use.backbones.proposing import best_builder
from headrace.use.drafting import _augmentation, draft

RECIPE = TrainingSpec(epochs=15, batch_size=32)


@pytest.mark.parametrize(
    ("rows", "epochs"),
    [
        (1, 200),
        (320, 30),
        (640, 0),
        (25_000, 0),
        (60_000, 6),
        (120_000, 3),
        (10_000_000, 3),
    ],
)
def test_few_rows_get_more_epochs_and_many_get_fewer(rows, epochs):
    assert epochs_for(RECIPE, rows, 300) == epochs


def test_a_task_may_know_after_how_many_epochs_its_data_is_known_by_heart():
    assert epochs_for(RECIPE, 320, 3_000) == 200
    assert epochs_for(RECIPE, 320, 3_000, most_epochs=16) == 16


@pytest.mark.parametrize("epochs", [1, 2])
def test_a_recipe_that_is_short_stays_short(epochs):
    recipe = TrainingSpec(epochs=epochs, batch_size=32)
    assert epochs_for(recipe, 10_000_000, 300) == 0


@pytest.mark.parametrize("family", builder_names())
def test_every_family_says_how_many_steps_it_needs(family):
    assert 100 <= least_steps(family) <= 10_000


@pytest.mark.parametrize(
    ("medium", "task", "families"),
    [
        ("audio", "generation", "Families for generation are of text"),
        ("text", "transcription", "Families for transcription are of audio"),
        ("image", "synthesis", "Families for synthesis are of audio"),
    ],
)
def test_a_task_without_a_family_for_the_medium_is_refused_before_the_data_is_read(
    tmp_path, medium, task, families
):
    settings = Settings(home=tmp_path / "home", project=tmp_path)
    with pytest.raises(UsageError, match=families):
        draft("it", medium, task, DataSpec(source="nowhere"), settings)
    assert not list(tmp_path.iterdir())


def test_a_separator_is_for_texts(tmp_path):
    (tmp_path / "home").mkdir()
    settings = Settings(home=tmp_path / "home", project=tmp_path)
    data = DataSpec(source="nowhere", separator="-")
    with pytest.raises(UsageError, match="parts texts, and the medium is image"):
        draft("it", "image", "classification", data, settings)


def test_few_images_are_cropped_and_more_augmentation_is_in_comments(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 1), np.uint8)
    np.savez(tmp_path / "some.npz", images=pixels, labels=np.arange(60) % 2)
    (tmp_path / "home").mkdir()
    settings = Settings(home=tmp_path / "home", project=tmp_path)
    data = DataSpec(source=str(tmp_path / "some.npz"))
    folder, _ = draft("some", "image", "classification", data, settings)
    augment = load_spec(folder).training.augment
    assert augment is not None
    assert augment.model_dump() == {"crop": 0.1}
    file = folder / "pipeline.toml"
    lines = file.read_text(encoding="utf-8").splitlines()
    begin = lines.index("[training.augment]")
    used = [line.removeprefix("# ") for line in lines[begin:]]
    file.write_text("\n".join([*lines[:begin], *used]), encoding="utf-8")
    augment = load_spec(folder).training.augment
    assert augment is not None
    assert augment.model_dump().keys() == {"flip", "crop", "colour", "mixup"}


@pytest.mark.parametrize(
    ("medium", "task", "rows"),
    [
        ("image", "classification", 60_000),
        ("image", "regression", 600),
        ("text", "classification", 600),
        ("audio", "classification", 600),
    ],
)
def test_other_augmentation_is_offered_in_comments_alone(medium, task, rows):
    lines = "\n".join(_augmentation(medium, task, rows)).strip().splitlines()
    assert "# [training.augment]" in lines
    assert all(line.startswith("# ") for line in lines)


def test_nothing_is_offered_where_all_of_it_is_refused():
    assert not [*_augmentation("text", "generation", 600)]


def write_images(folder, rows):
    """Grey noise, dark and light by class."""
    random = np.random.default_rng(0)
    for row in range(rows):
        name = ("dark", "light")[row % 2]
        pixels = random.integers(0, 60, (8, 8), np.uint8) + (row % 2) * 120
        (folder / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{row}.png")


def drafted(tmp_path):
    """The pipeline file of images in a folder, and the warnings."""
    settings = Settings(home=tmp_path / "home", project=tmp_path).prepare_home()
    data = DataSpec(source=str(tmp_path / "images"))
    folder, inspection = draft("it", "image", "classification", data, settings)
    written = tomllib.loads((folder / "pipeline.toml").read_text())
    return written, inspection.warnings


@pytest.mark.parametrize("rows", [100, 300])
def test_a_schedule_that_ends_at_zero_is_run_to_its_end(tmp_path, rows):
    write_images(tmp_path / "images", rows)
    written, warnings = drafted(tmp_path)
    del written["training"]["augment"]
    assert written["training"] == {"epochs": 200}
    assert "val" not in [one.split for one in warnings]
    training = load_spec(tmp_path / "pipelines" / "it").training
    assert (training.schedule, training.patience) == ("cosine", 0)
    assert not training.keeps_best_epoch, "the last one, at a rate of zero"


@pytest.mark.parametrize(
    ("medium", "task"),
    [
        ("image", "classification"),
        ("image", "regression"),
        ("text", "classification"),
        ("text", "regression"),
        ("text", "tagging"),
        ("audio", "classification"),
    ],
)
def test_the_families_that_new_writes_end_at_a_rate_of_zero(medium, task):
    description = DataDescription(medium=medium, task=task, shape=(8, 8, 1))
    recipe = recipe_of(medium, best_builder(description), task)
    assert recipe["schedule"] == "cosine"
    assert "patience" not in recipe


def write_photos(folder, sizes):
    rng = np.random.default_rng(1)
    for place, size in enumerate(sizes):
        path = folder / "ab"[place % 2] / f"{place:03}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        rough = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8))
        rough.resize(size).save(path)
    return folder


def test_photos_of_many_sizes_get_a_shape_and_are_resized(tmp_path):
    sizes = [(100 + 4 * place, 75 + 3 * place) for place in range(40)]
    data = DataSpec(source=str(write_photos(tmp_path / "photos", sizes)))
    settings = Settings(home=tmp_path / "home", project=tmp_path)
    settings.prepare_home()
    folder, inspection = draft("it", "image", "classification", data, settings)
    spec = load_spec(folder)
    assert (spec.data.shape, spec.data.resize) == ((128, 128, 3), "crop")
    assert sum(inspection.snapshot.rows.values()) == 40
    assert inspection.snapshot.notes == (
        "40 of 40 items: resized to 128 x 128 pixels by crop",
    )


def test_images_of_one_small_size_are_not_resized(tmp_path):
    data = DataSpec(source=str(write_photos(tmp_path / "tiles", [(30, 20)] * 40)))
    settings = Settings(home=tmp_path / "home", project=tmp_path)
    settings.prepare_home()
    folder, inspection = draft("it", "image", "classification", data, settings)
    assert "resize" not in (folder / FILE_NAME).read_text()
    assert load_spec(folder).data.shape == (20, 30, 3)
    assert inspection.snapshot.notes == ()


def test_blank_photos_are_told_as_what_a_run_sets_aside(tmp_path):
    write_images(tmp_path / "images", 100)
    for name in ("dark/0.png", "light/1.png"):
        Image.new("L", (8, 8), 255).save(tmp_path / "images" / name)
    settings = Settings(home=tmp_path / "home", project=tmp_path).prepare_home()
    data = DataSpec(source=str(tmp_path / "images"))
    _, inspection = draft("it", "image", "classification", data, settings)
    (kind,) = inspection.unusable
    examples = "dark/0.png: all its values are equal; light/1.png: all its values are"
    assert str(kind) == f"blank: 2, such as {examples} equal"
    assert sum(inspection.survey.rows.values()) == 98
    assert not inspection.is_refused


def test_too_many_blank_photos_are_told_as_what_a_run_refuses(tmp_path):
    write_images(tmp_path / "images", 100)
    for place in range(0, 12, 2):
        name = f"images/dark/{place}.png"
        Image.new("L", (8, 8), place).save(tmp_path / name)
    settings = Settings(home=tmp_path / "home", project=tmp_path).prepare_home()
    data = DataSpec(source=str(tmp_path / "images"))
    _, inspection = draft("it", "image", "classification", data, settings)
    assert inspection.is_refused
    told = "6 of 100 rows (6.0%) cannot be used, and a run refuses over 5%"
    assert told in [one.message for one in inspection.warnings][-1]


def test_where_most_rows_cannot_be_used_that_is_said_and_not_the_labels(tmp_path):
    photos = write_photos(tmp_path / "photos", [(80, 60)] * 40)
    for path in sorted(photos.rglob("*.jpg"))[3:]:
        path.write_bytes(path.read_bytes()[:-200])
    settings = Settings(home=tmp_path / "home", project=tmp_path)
    settings.prepare_home()
    told = "37 of the 40 rows of .* cannot be used, 37 of them for their decode. One of"
    with pytest.raises(Refusal, match=told):
        draft("it", "image", "classification", DataSpec(source=str(photos)), settings)


def test_what_is_found_out_is_said_in_the_file_and_in_the_readme(tmp_path):
    labels = ("tool", "fr*u*it", "fr*u*it")
    rows = [f"a letter about house {n},{labels[n % 3]}" for n in range(90)]
    (tmp_path / "few.csv").write_text("\n".join(["text,label", *rows, "one,rare"]))
    settings = Settings(home=tmp_path / "home", project=tmp_path).prepare_home()
    data = DataSpec(source=str(tmp_path / "few.csv"))
    folder, inspection = draft("few", "text", "classification", data, settings)
    comments = (folder / FILE_NAME).read_text().partition("\n\n")[0]
    said = comments.replace("\n# ", " ")
    readme = (folder / "README.md").read_text()
    for text in inspection.survey.sentences:
        assert f"{text[0].upper()}{text[1:]}." in said
    assert all(len(line) <= 88 for line in comments.splitlines())
    assert "\nLeft out: 'rare', 1 row in all.\n" in readme
    assert "Always saying 'fr\\*u\\*it' would be right for" in readme
    learned = inspection.survey.rows["train"]
    assert f"\n{learned} rows to learn from and" in readme
    assert readme.endswith("its licence.\n")
