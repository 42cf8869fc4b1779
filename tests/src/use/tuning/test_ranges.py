"""A range: how it is written, and which values it holds."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.errors import SpecError
from headrace.use.tuning.ranges import parse_dimension


@pytest.mark.parametrize(
    ("text", "kind", "options"),
    [
        ("training.learning_rate=log(1e-4,1)", "log", ("1e-4", "1")),
        ("training.momentum = uniform( 0, 0.99 )", "uniform", ("0", "0.99")),
        ("training.batch_size=int(16,512)", "int", ("16", "512")),
        ("training.optimizer=choice(sgd,adam)", "choice", ("sgd", "adam")),
        (
            "model.arguments.hidden=choice([16],[64, 32])",
            "choice",
            ("[16]", "[64, 32]"),
        ),
        ('model.builder=choice("mlp","a,b")', "choice", ('"mlp"', '"a,b"')),
    ],
)
def test_a_range_is_read(text: str, kind: str, options: tuple[str, ...]) -> None:
    dimension = parse_dimension(text)
    assert dimension is not None
    assert dimension.key == text.partition("=")[0].strip()
    assert (dimension.kind, dimension.options) == (kind, options)
    assert parse_dimension(str(dimension)) == dimension


@pytest.mark.parametrize(
    "text", ["training.epochs=3", "gates=[]", 'description="log(1,2)"', "a=b", "a=b c"]
)
def test_a_plain_value_is_no_range(text: str) -> None:
    assert parse_dimension(text) is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("lgo(1e-4,1)", r"no range 'lgo'\. Did you mean log\(1e-4,1\)\?"),
        ("loguniform(1e-4,1)", r"Did you mean uniform\(0,0\.99\)\?"),
        ("xyz(1,2)", r"Ranges: log\(1e-4,1\), uniform.*Put text in quotes"),
        ("log(1e-4)", r"log takes two bounds, not 1\. Write for example log\("),
        ("log(0,1)", "lower bound 0 of log is not above 0"),
        ("log(1,1e-4)", "lower bound 1 is not below the upper bound 1e-4"),
        ("uniform(a,1)", "bound 'a' is not a number"),
        ("uniform(0,inf)", "bound 'inf' is not finite"),
        ("uniform(true,2)", "bound 'true' is not a number"),
        ("int(1,2.5)", r"bound '2\.5' is not an integer"),
        ("choice(1)", "a choice needs two values"),
        ("choice(1,)", "a choice needs two values"),
        ("choice(1,1)", "a value is given twice"),
    ],
)
def test_a_range_that_is_none_is_refused(value: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        parse_dimension(f"training.learning_rate={value}")


@pytest.mark.parametrize(
    ("text", "value", "rounded"),
    [
        ("a=log(1e-4,1)", 0.0123456, 0.0123),
        ("a=log(0.1,0.101)", 0.1001234567, 0.100123),
        ("a=uniform(0,1)", 0.123456, 0.123),
        ("a=uniform(0,1)", 0.0003, 0.0003),
        ("a=uniform(-500,500)", 123.456, 123.0),
        ("a=uniform(0.12399,1)", 0.12401, 0.124),
        ("a=uniform(0.12401,1)", 0.12402, 0.12401),
        ("a=int(1,9)", 3, 3),
        ("a=choice(x,y)", "x", "x"),
    ],
)
def test_a_value_has_the_digits_that_its_range_needs(
    text: str, value: Any, rounded: Any
) -> None:
    dimension = parse_dimension(text)
    assert dimension is not None
    assert dimension.rounded(value) == rounded
