"""A space: its ranges, what the spec and its builder allow, and points as text."""

import pytest

from headrace.errors import SpecError, UsageError
from headrace.pipeline import load_spec
from headrace.use.tuning.space import parse_dimension, parse_search

RATE = "training.learning_rate=log(1e-4,1)"
OPTIMIZER = "training.optimizer=choice(sgd,adam)"


def space_of(*texts):
    """The space of some ranges."""
    return parse_search(texts)[1]


def test_no_range_at_all_is_a_usage_error_with_an_example():
    example = r'--set "training\.learning_rate=log\(1e-4,1\)"'
    with pytest.raises(UsageError, match=example):
        parse_search(["training.epochs=3"])


def test_plain_values_are_told_from_ranges():
    texts = ["gates=[]", RATE, 'description="log(1,2)"']
    plain, space = parse_search(texts)
    assert plain == [texts[0], texts[2]]
    assert space.keys == ["training.learning_rate"]


@pytest.mark.parametrize("other", ["training.learning_rate=0.1", RATE])
def test_a_field_is_given_once(other):
    with pytest.raises(SpecError, match="learning_rate: it is given twice"):
        parse_search([other, RATE])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("training.learning_rate=log(0.01,100)", "learning_rate = 100.*equal to 10"),
        ("training.learning_rat=log(0.01,1)", r"Did you mean training\.learning_rate"),
        ("trainig.learning_rate=log(0.01,1)", "Did you mean training"),
        ("training.batch_size=log(16,512)", "batch_size = .*valid integer"),
        ("training.batch_size=int(0,512)", "batch_size = 0.*equal to 1"),
        (
            "training.optimizer=choice(sgd,adm)",
            "'adm': keras.optimizers has no such name; near it: .*Adam",
        ),
        ("model.builder=choice(mlp,cmn)", "Did you mean cnn"),
        ("model.arguments.hiden=choice([1],[2])", "Did you mean hidden"),
        ("data.test_fraction=uniform(0.1,0.3)", "cannot be searched"),
    ],
)
def test_what_the_spec_would_refuse_is_refused_before_any_work(project, text, message):
    folder = project / "pipelines" / "blobs"
    with pytest.raises(SpecError, match=message):
        space_of(text).check(load_spec(folder), folder)


def test_a_builder_must_take_the_arguments_of_all_trials(project):
    folder = project / "pipelines" / "blobs"
    space = space_of("model.builder=choice(mlp,cnn)", RATE)
    with pytest.raises(SpecError, match="cnn takes no such argument"):
        space.check(load_spec(folder), folder)


def test_a_point_that_names_a_backbone_leaves_it_to_be_pinned(project):
    spec = load_spec(project / "pipelines" / "blobs")
    pinned = {"backbone": "a" * 64, "arguments": {"preset": "small"}}
    model = spec.model.model_copy(update=pinned)
    spec = spec.model_copy(update={"model": model})
    space = space_of("model.arguments.preset=choice(small,large)")
    other = space.apply(spec, {"model.arguments.preset": "large"}).model
    assert (other.arguments["preset"], other.backbone) == ("large", "")
    space = space_of(RATE)
    assert space.apply(spec, {"training.learning_rate": "0.1"}).model == model


def test_a_point_is_a_spec_as_run_would_read_it(project):
    folder = project / "pipelines" / "blobs"
    space = space_of(RATE, OPTIMIZER, "model.arguments.hidden=choice([16],[8,8])")
    point = space.rounded(
        {
            "training.learning_rate": 0.0123456,
            "training.optimizer": "adam",
            "model.arguments.hidden": "[8,8]",
        }
    )
    settings = (
        "training.learning_rate=0.0123",
        "training.optimizer=adam",
        "model.arguments.hidden=[8,8]",
    )
    base = load_spec(folder)
    assert space.apply(base, point) == load_spec(folder, settings)
    assert space.overrides(point)["model.arguments.hidden"] == [8, 8]


@pytest.mark.parametrize(
    ("texts", "point"),
    [
        ((RATE,), {"training.learning_rate": 0.05}),
        (("training.learning_rate=log(0.1,1)",), None),
        (
            ("training.batch_size=int(1,16)", OPTIMIZER),
            {"training.batch_size": 16, "training.optimizer": "sgd"},
        ),
        (
            ("model.arguments.hidden=choice([8],[16])",),
            {"model.arguments.hidden": "[16]"},
        ),
        (("model.arguments.depth=int(1,3)", RATE), None),
    ],
)
def test_the_file_itself_is_a_point_where_the_space_holds_it(project, texts, point):
    spec = load_spec(project / "pipelines" / "blobs")
    assert space_of(*texts).own_point(spec) == point


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("training.batch_size = int( 16, 18 )", [16, 17, 18]),
        ("training.optimizer=choice(sgd,adam)", ["sgd", "adam"]),
        ("model.arguments.hidden=choice([16],[64, 32])", [[16], [64, 32]]),
        ('model.builder=choice("mlp","a,b")', ["mlp", "a,b"]),
        ("model.x=choice([[1,2],[3]],{b=1,c=2})", [[[1, 2], [3]], {"b": 1, "c": 2}]),
        ("model.x=choice(0.5, 1)", [0.5, 1]),
        (RATE, []),
    ],
)
def test_a_range_is_read(text, values):
    space = space_of(text)
    (dimension,) = space.dimensions
    assert dimension.key == text.partition("=")[0].strip()
    points = [space.overrides(point) for point in space.points()]
    assert points == [{dimension.key: value} for value in values]
    assert parse_dimension(str(dimension)) == dimension


@pytest.mark.parametrize(
    "text",
    [
        "training.epochs=3",
        "gates=[]",
        'description="log(1,2)"',
        "a=b",
        "a=b c",
        "a=b (c",
        "a=log(1e-4",
    ],
)
def test_a_plain_value_is_no_range(text):
    assert parse_dimension(text) is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("lgo(1e-4,1)", r"no range 'lgo'\. Did you mean log\?"),
        ("loguniform(1e-4,1)", r"Did you mean uniform\?"),
        ("xyz(1,2)", r"Ranges: log\(1e-4,1\), uniform.*Put text in quotes"),
        ("log(1e-4)", r"log takes two numbers.* Write for example log\("),
        ("log(0,1)", "log takes two numbers, the lower one first, above 0"),
        ("log(1,1e-4)", "log takes two numbers, the lower one first, above 0"),
        ("uniform(a,1)", r"uniform takes two numbers, the lower one first\."),
        ("uniform(0,inf)", "uniform takes two numbers"),
        ("uniform(-inf,0)", "uniform takes two numbers"),
        ("uniform(nan,0)", "uniform takes two numbers"),
        ("uniform(true,2)", "uniform takes two numbers"),
        ("int(1,2.5)", "int takes two numbers, the lower one first"),
        ("choice(1)", "choice takes two different values"),
        ("choice(1,)", "choice takes two different values"),
        ("choice(1,1)", "choice takes two different values or more"),
    ],
)
def test_a_range_that_is_none_is_refused(value, message):
    with pytest.raises(SpecError, match=message):
        parse_dimension(f"training.learning_rate={value}")


@pytest.mark.parametrize(
    ("text", "value", "rounded"),
    [
        ("a=log(1e-4,1)", 0.0123456, 0.0123),
        ("a=log(0.1,0.101)", 0.1001234567, 0.1001235),
        ("a=uniform(0,1)", 0.123456, 0.123),
        ("a=uniform(0,1)", 0.0003, 0.0),
        ("a=uniform(-500,500)", 123.456, 123.0),
        ("a=uniform(0.12399,1)", 0.12401, 0.124),
        ("a=uniform(0.12401,1)", 0.12402, 0.12401),
        ("a=int(1,9)", 3, 3),
        ("a=choice(x,y)", "x", "x"),
    ],
)
def test_a_value_has_the_digits_that_its_range_needs(text, value, rounded):
    dimension = parse_dimension(text)
    assert dimension is not None
    assert dimension.rounded(value) == rounded
