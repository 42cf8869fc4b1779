"""What every task must give, whatever it is."""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from pathlib import Path

import numpy as np
import pytest

from headrace import media, tasks
from headrace.pipeline import EvaluationSpec, TrainingSpec
from headrace.pipeline.families import task_names, unused_fields
from headrace.pipeline.gates import default_gates, known_gates
from headrace.records import DataDescription

PARTS = {
    "labels": tasks.Labels,
    "contract": tasks.Contract,
    "head": tasks.Head,
    "judge": tasks.Judge,
    "answers": tasks.Answers,
    "survey": tasks.Surveyor,
}
# Parts that only some tasks have, by what says so.
OPTIONAL = {
    "questions": (tasks.Questions, "asks"),
    "explained": (tasks.Explained, "explains"),
    "speech": (tasks.Speech, "speaks"),
}
every_task = pytest.mark.parametrize("name", task_names())
# Those that the network here suits; others have tests of their own.
every_vector_task = pytest.mark.parametrize(
    "name", [name for name in task_names() if tasks.task(name).takes == "vector"]
)
# Labels of eight items of each task here; a new task adds its own.
LABELS = {
    "classification": list("abcabcab"),
    "regression": list("12345678"),
    "tagging": [
        '["a"]',
        '["a", "b"]',
        "[]",
        '["b"]',
        '["a", "c"]',
        "[]",
        '["c"]',
        "[]",
    ],
}


@pytest.fixture(scope="module")
def network(request):
    """The description and a network of a task, on eight images."""

    def make(name):
        from headrace import models
        from headrace.imports.backend import load_backend

        load_backend()
        described = tasks.task(name).labels.describe(LABELS[name], _data())
        data = DataDescription(
            medium="image", task=name, shape=(8, 8, 1), target=described
        )
        encoded = targets(name, data)
        built = models.build("mlp", data, {"hidden": [8]}, targets=lambda: encoded)
        return data, models.compose(data, *built), built[1], encoded

    return make


def _data():
    from headrace.pipeline import DataSpec

    return DataSpec(source="x.npz")


def targets(name, data):
    import pyarrow as pa

    return tasks.task(name).labels.encode(pa.chunked_array([LABELS[name]]), data)


def parts_of(name):
    task = tasks.task(name)
    return [
        *PARTS,
        *(part for part, (_, is_had) in OPTIONAL.items() if getattr(task, is_had)),
    ]


def has_default(method):
    """Whether it does more than to say what it is for; else each task has its own."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(method))).body
    assert isinstance(definition, ast.FunctionDef)
    return len(definition.body) > 1


@pytest.mark.parametrize(
    ("name", "part"), [(name, part) for name in task_names() for part in parts_of(name)]
)
def test_each_part_has_all_that_its_protocol_lists(name, part):
    found = getattr(tasks.task(name), part)
    protocol = PARTS[part] if part in PARTS else OPTIONAL[part][0]
    for member, listed in inspect.getmembers(protocol, inspect.isfunction):
        if not member.startswith("_"):
            assert has_default(listed) or getattr(type(found), member) is not listed
            given = inspect.signature(getattr(found, member))
            wanted = inspect.signature(listed)
            assert len(given.parameters) == len(wanted.parameters) - 1, member
    for attribute in protocol.__annotations__:
        assert hasattr(found, attribute), attribute


@every_task
def test_its_gates_are_known_and_its_default_ones_have_bounds(name: str) -> None:
    gates = default_gates(name)
    assert {gate.name for gate in gates} <= set(known_gates(name))
    assert all(gate.threshold is not None for gate in gates)
    assert "champion" in {gate.name for gate in gates}


@every_task
def test_what_it_has_no_use_for_are_fields_of_the_spec(name: str) -> None:
    from headrace.pipeline import PipelineSpec

    for field in unused_fields(name):
        table, _, key = field.partition(".")
        inner = PipelineSpec.model_fields[table].annotation
        assert key in inner.model_fields, field
    for field in ("training.canaries", "training.ngrams"):
        assert (field in unused_fields(name)) != (name == "generation")


def test_each_vector_task_has_labels_here():
    vector = {name for name in task_names() if tasks.task(name).takes == "vector"}
    assert LABELS.keys() == vector


@every_vector_task
def test_a_network_is_built_answers_and_is_measured(name: str, network) -> None:
    data, model, _, encoded = network(name)
    learned = tasks.task(name)
    assert encoded.dtype == learned.labels.DTYPE
    images = np.random.default_rng(1).integers(0, 255, (8, 8, 8, 1), np.uint8)
    outputs = np.asarray(model(media.medium("image").raw(images)), np.float32)
    assert outputs.shape == (8, *learned.head.output_shape(data))
    judged = learned.judge.judged(outputs, encoded, data)
    scores = judged.scores
    assert scores.shape == (8,)
    metrics, slices = judged.metrics(EvaluationSpec())
    assert learned.headline in metrics
    assert set(learned.shown) <= set(metrics)
    assert all("=" in one for one in slices)
    gates = {gate.metric for gate in default_gates(name)}
    others = {"model_megabytes", "latency_ms", "champion"}
    assert gates <= {*metrics, *others}
    summary = learned.judge.summary(scores, 0.95)
    assert summary[learned.score] == pytest.approx(float(scores.mean()))
    assert len(learned.answers.answers(outputs, data)) == 8
    columns = learned.answers.answer_columns(outputs, data)
    assert {len(column) for column in columns.values()} == {8}
    assert isinstance(learned.answers.figures(metrics), str)
    assert learned.judge.caption(outputs[0], encoded[0], data)
    assert judged.badness.shape == (8,)


@every_vector_task
def test_losses_and_scores_of_training_are_those_of_validation(
    name: str, network
) -> None:
    _, model, body, encoded = network(name)
    learned, recipe = tasks.task(name), TrainingSpec()
    images = np.random.default_rng(2).integers(0, 255, (8, 8, 8, 1), np.uint8)
    outputs = np.asarray(model(media.medium("image").raw(images)), np.float32)
    losses = np.asarray(learned.head.losses(body, encoded, outputs, recipe))
    scores = np.asarray(learned.head.training_scores(encoded, outputs))
    assert losses.shape == scores.shape == (8,)
    found = learned.head.validation_metrics(body, outputs, encoded)
    assert found["val_loss"] == pytest.approx(float(losses.mean()), rel=1e-4)
    assert found[f"val_{learned.training_score}"] == pytest.approx(
        float(scores.mean()), rel=1e-4
    )


@every_vector_task
def test_it_draws_its_pictures(name: str, network, tmp_path: Path) -> None:
    data, model, _, encoded = network(name)
    images = np.zeros((8, 8, 8, 1), np.uint8)
    outputs = np.asarray(model(media.medium("image").raw(images)), np.float32)
    judged = tasks.task(name).judge.judged(outputs, encoded, data)
    judged.draw(EvaluationSpec(), tmp_path)
    drawn = sorted(tmp_path.glob("*.png"))
    assert [one.stem for one in drawn] == sorted(tasks.task(name).pictures)
    assert all(one.read_bytes()[:4] == b"\x89PNG" for one in drawn)


@every_vector_task
def test_an_answer_is_written_under_the_name_of_the_output(name: str) -> None:
    task = tasks.task(name)
    described = task.labels.describe(LABELS[name], _data())
    data = DataDescription(medium="image", task=name, shape=(8, 8, 1), target=described)
    (width,) = task.head.output_shape(data)
    output = np.arange(1, width + 1, dtype=np.float32) / np.float32(3)
    written = json.loads(f"{{{task.answers.json_writer(data)(output)}}}")
    assert task.answers.OUTPUT in written
    shown = written[task.answers.OUTPUT]
    values = list(shown.values()) if isinstance(shown, dict) else [shown]
    assert np.array_equal(np.float32(values), output[: len(values)])
    output[0] = np.nan
    with pytest.raises(FloatingPointError):
        task.answers.json_writer(data)(output)


def test_what_pads_transcripts_keeps_no_models_from_a_comparison():
    def described(**target):
        return DataDescription(
            medium="audio", task="transcription", shape=(8000,), target=target
        )

    short = described(tokens=["one", "two"], longest=3)
    long = described(tokens=["one", "two"], longest=4)
    other = described(tokens=["one"], longest=3)
    assert tasks.difference(short, long) == ""
    assert tasks.difference(short, other) == "tokens"
    spoken = short.model_copy(update={"task": "synthesis"})
    padded = long.model_copy(update={"task": "synthesis"})
    assert tasks.difference(spoken, padded) == "longest"
