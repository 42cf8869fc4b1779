"""A pipeline file and its overrides: what is taken, and what each error says."""

import pytest

from headrace.errors import NotFoundError, SpecError
from headrace.pipeline import PipelineSpec, load_spec
from headrace.pipeline.files import parse_override
from headrace.pipeline.gates import default_gates, known_gates

SMALL = 'medium = "image"\n[data]\nsource = "somewhere"\n'


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "letters"
    made.mkdir()
    (made / "pipeline.toml").write_text(SMALL)
    return made


def test_a_short_file_gets_the_articles_recipe_and_the_folders_name(folder):
    spec = load_spec(folder)
    training = spec.training
    assert spec.name == "letters"
    assert (training.optimizer, training.learning_rate) == ("sgd", 0.01)
    assert (training.momentum, training.nesterov, training.decay) == (0.9, True, 1e-6)
    assert (training.batch_size, training.epochs) == (128, 10)
    assert [gate.name for gate in spec.gates] == list(known_gates("classification"))


@pytest.mark.parametrize(
    ("text", "keys", "value"),
    [
        ("training.epochs=3", ["training", "epochs"], 3),
        ("gates=[]", ["gates"], []),
        ("model.builder=cnn", ["model", "builder"], "cnn"),
        ("data.source=a=b", ["data", "source"], "a=b"),
        ("description=", ["description"], ""),
    ],
)
def test_an_override_is_toml_else_a_string(text, keys, value):
    assert parse_override(text) == (keys, value)


@pytest.mark.parametrize("text", ["training.epochs", "=3", "training.=3", ""])
def test_an_override_without_key_or_value_is_refused(text):
    with pytest.raises(SpecError, match="is not KEY=VALUE"):
        parse_override(text)


def test_overrides_change_only_what_they_name(folder):
    spec = load_spec(folder, ("training.epochs=3", "model.arguments.units=7"))
    assert spec.training.epochs == 3
    assert spec.training.batch_size == 128
    assert spec.model.arguments == {"units": 7}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainng.epochs=3", "unknown key trainng.*Did you mean training?"),
        ("data.zzzz=3", "unknown key data.zzzz.*Valid names in data: classes, .*shape"),
        ("training.epochs=0", "training.epochs = 0: .*greater than or equal to 1"),
        (
            "training.epochs='30'",
            "epochs = '30': text is not a valid number: write 30 without quotes",
        ),
        (
            "gates=[{name='size', threshold='3'}]",
            "gates.0.threshold = '3': .*write 3 without quotes",
        ),
        ("training.epochs=1.5", "training.epochs = 1.5: .*integer"),
        ("training.learning_rate=11", "training.learning_rate = 11: .*10"),
        ("training.optimizer=sdg", "training.optimizer = 'sdg': .*no such name.*SGD"),
        ("medium=vidio", "medium = 'vidio': expected one of audio, image, text"),
        ("data.classes=['only']", "data.classes"),
        ("data.classes=a", "data.classes = 'a': it should be a list"),
        ("promotion.mode=perhaps", "promotion.mode = 'perhaps'"),
        ("data.source.more=3", "data.source is not a table.*Give the whole value"),
        ("gates=[{name='own'}]", "the gate 'own' needs a threshold"),
        ("gates=[{name='sise'}]", "needs a threshold. Did you mean size?"),
        ("gates=[{name='size'},{name='size'}]", "two gates share the name 'size'"),
        ("gates=[{name='size',thresold=3}]", "gates.0.thresold.*gates.0.threshold"),
        ("contract=[{column='mean'}]", "contract.0.expectation is missing"),
    ],
)
def test_a_wrong_override_is_named_with_what_is_right(folder, override, message):
    with pytest.raises(SpecError, match=message) as caught:
        load_spec(folder, (override,))
    assert override.split("=", maxsplit=1)[0] in str(caught.value) or "--set" in str(
        caught.value
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('medium = "image"\n', "pipeline.toml: data is missing. Add it"),
        (SMALL + "[trainig]\n", "unknown key trainig.*Did you mean training?"),
        (SMALL + "colour = 3\n", "unknown key data.colour"),
        ("medium = image\n", "is not valid TOML: .*line 1"),
        ("a = 1\na = 2\n", "is not valid TOML"),
    ],
)
def test_a_wrong_file_is_named_with_what_is_right(folder, text, message):
    (folder / "pipeline.toml").write_text(text)
    with pytest.raises(SpecError, match=message) as caught:
        load_spec(folder)
    assert str(folder) in str(caught.value)


def test_a_file_that_is_not_utf8_is_refused_at_its_byte(folder):
    (folder / "pipeline.toml").write_bytes(
        b'description = "caf\xe9"\n' + SMALL.encode()
    )
    with pytest.raises(SpecError, match=r"is not valid TOML: .* position 18"):
        load_spec(folder)


def test_a_folder_without_a_pipeline_is_not_found(tmp_path):
    with pytest.raises(NotFoundError, match=r"holds no pipeline\.toml"):
        load_spec(tmp_path)


def test_all_problems_are_told_at_once(folder):
    with pytest.raises(SpecError) as caught:
        load_spec(folder, ("training.epochs=0", "training.batch_size=0"))
    assert "training.epochs = 0" in str(caught.value)
    assert "training.batch_size = 0" in str(caught.value)


@pytest.mark.parametrize(
    ("values", "metric", "direction", "threshold"),
    [
        ({"name": "accuracy", "threshold": 0.9}, "test_accuracy", "min", 0.9),
        ({"name": "finite"}, "non_finite_values", "max", 0.0),
        ({"name": "size"}, "model_megabytes", "max", 100.0),
        ({"name": "latency"}, "latency_ms", "max", 200.0),
        ({"name": "champion"}, "champion", "max", 0.05),
        ({"name": "test_macro_f1", "threshold": 0.5}, "test_macro_f1", "min", 0.5),
        (
            {
                "name": "loss",
                "metric": "test_log_loss",
                "direction": "max",
                "threshold": 1,
            },
            "test_log_loss",
            "max",
            1.0,
        ),
    ],
)
def test_a_gate_knows_its_metric_direction_and_threshold(
    values, metric, direction, threshold
):
    spec = {"name": "a", "medium": "image", "data": {"source": "b"}}
    (gate,) = PipelineSpec.model_validate({**spec, "gates": [values]}).gates
    assert (gate.metric, gate.direction, gate.threshold) == (
        metric,
        direction,
        threshold,
    )


def test_no_gates_named_means_the_default_ones_and_an_empty_list_means_none(folder):
    assert load_spec(folder).gates == default_gates()
    assert load_spec(folder, ("gates=[]",)).gates == ()


def test_an_encoding_is_known_and_no_law_where_there_is_none(folder):
    spec = load_spec(folder, ('data.encoding="koi8-r"',))
    assert spec.data.model_dump()["encoding"] == "koi8-r"
    assert "encoding" not in load_spec(folder).data.model_dump()
    for name in ("klingon", "hex", "undefined"):
        with pytest.raises(SpecError, match=f"'{name}' is not an encoding of text"):
            load_spec(folder, (f'data.encoding="{name}"',))


def test_class_numbers_are_labels(folder):
    assert load_spec(folder, ("data.classes=[0, 1]",)).data.classes == ("0", "1")
    plain = load_spec(folder, ('data.classes=[" a", "cafe\u0301"]',)).data.classes
    assert plain == ("a", "caf\u00e9")


def test_a_spec_cannot_be_changed_and_survives_json(folder):
    spec = load_spec(
        folder, ("contract=[{expectation='e',column='mean',min_value=1}]",)
    )
    assert spec.contract[0].arguments == {"column": "mean", "min_value": 1}
    assert PipelineSpec.model_validate_json(spec.model_dump_json()) == spec
    with pytest.raises(ValueError, match="frozen"):
        spec.name = "other"


@pytest.mark.parametrize(
    ("gates", "told"),
    [
        ('gates=[{name="serving", threshold=1}]', "always on"),
        ('gates=[{name="accuracy", threshold=inf}]', "finite number"),
    ],
)
def test_gates_that_cannot_be_kept_are_refused(tmp_path, gates, told):
    folder = tmp_path / "pets"
    folder.mkdir()
    (folder / "pipeline.toml").write_text('medium = "image"\n[data]\nsource = "x"\n')
    with pytest.raises(SpecError, match=told):
        load_spec(folder, (gates,))
