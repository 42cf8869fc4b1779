"""``headrace gate``: thresholds from the champion's intervals, and by hand."""

import os
import tomllib
from concurrent.futures import ThreadPoolExecutor

import pytest

from headrace.errors import HeadraceError, Refusal, SpecError, UsageError
from headrace.gates.supported import supported_by_first
from headrace.settings import Settings
from headrace.spec.folders import find_pipeline
from headrace.use.gating import (
    apply_supported,
    change_gate,
    list_gates,
)

HEAD = """\
# headrace run blobs
medium = "image"

[data]
source = "blobs.npz"
"""
GATES = """
[[gates]]
name = "accuracy"  # of all
threshold = 0.1

[[gates]]
name = "champion"
"""


def write(project, text=HEAD + GATES):
    file = project / "pipelines" / "blobs" / "pipeline.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode())
    return file


@pytest.fixture
def alone(tmp_path):
    """A project without a run."""
    write(tmp_path)
    return Settings(project=tmp_path, home=tmp_path / "home").prepare_home()


@pytest.fixture
def settings(trained, tmp_path):
    """A project whose pipeline has a champion."""
    project = tmp_path / "own"
    write(project)
    return Settings(project=project, home=trained.settings.home)


def file_of(settings):
    return settings.project / "pipelines" / "blobs" / "pipeline.toml"


def test_the_champions_interval_is_written_into_the_file(settings, trained):
    low = trained.weak_evaluation.metrics["test_accuracy_low"]
    listed = list_gates("blobs", settings)
    assert listed.version == 1
    (gate,) = [one for one in listed.gates if one.name == "accuracy"]
    assert gate.supported is not None
    assert low - 1e-4 < gate.supported <= low
    assert gate.value == trained.weak_evaluation.metrics["test_accuracy"]
    written = apply_supported("blobs", "", settings)
    (changed,) = written.changed
    assert changed.model_dump() == {
        **{"name": "accuracy", "before": 0.1, "after": gate.supported}
    }
    line = f"threshold = {gate.supported}  # headrace gate: was 0.1; "
    line += "the interval's end of version 1\n"
    assert file_of(settings).read_text() == (HEAD + GATES).replace(
        "threshold = 0.1\n", line
    )
    with pytest.raises(Refusal, match="supports no stricter threshold for any gate"):
        apply_supported("blobs", "", settings)


def test_one_gate_alone_can_be_suggested(settings):
    with pytest.raises(Refusal, match="no stricter threshold for the gate 'champion'"):
        apply_supported("blobs", "champion", settings)
    assert apply_supported("blobs", "accuracy", settings).changed[0].name == "accuracy"


def test_a_first_run_says_what_it_supports(settings, trained):
    folder, spec = file_of(settings).parent, trained.spec
    gates = tuple(
        gate.model_copy(update={"threshold": 0.1})
        for gate in spec.gates
        if gate.name == "accuracy"
    )
    spec = spec.model_copy(update={"gates": gates})
    first = trained.weak_evaluation.model_copy(update={"gates": ()})
    (found,) = supported_by_first(spec, folder, first, settings)
    assert (found.gate, found.now) == ("accuracy", 0.1)
    elsewhere = settings.project / "elsewhere"
    assert not supported_by_first(spec, elsewhere, first, settings)
    second = first.model_copy(update={"champion_version": 1})
    assert not supported_by_first(spec, folder, second, settings)


def test_without_a_version_nothing_is_suggested(alone):
    assert list_gates("blobs", alone).version is None
    with pytest.raises(Refusal, match="has no version whose interval"):
        apply_supported("blobs", "", alone)


def test_a_threshold_by_hand_and_a_gate_that_is_new(alone):
    change_gate("blobs", "accuracy", 0.95, alone)
    change_gate("blobs", "champion", 0.01, alone)
    added = change_gate("blobs", "weak_slice", 0.1, alone)
    assert added.changed[0].before is None
    text = file_of(alone).read_text()
    assert text.startswith(HEAD)
    assert "threshold = 0.95  # headrace gate: was 0.1; set by hand\n" in text
    assert tomllib.loads(text)["gates"] == [
        {"name": "accuracy", "threshold": 0.95},
        {"name": "champion", "threshold": 0.01},
        {"name": "weak_slice", "threshold": 0.1},
    ]


def test_the_default_gates_stay_where_a_file_names_none(alone):
    write(alone.project, HEAD)
    before = {gate.name for gate in list_gates("blobs", alone).gates}
    change_gate("blobs", "accuracy", 0.95, alone)
    gates = {gate.name: gate for gate in list_gates("blobs", alone).gates}
    assert gates.keys() == before
    assert gates["accuracy"].threshold == 0.95
    assert gates["class_floor"].threshold == 0.2


@pytest.mark.parametrize(
    ("gate", "threshold", "message"),
    [
        ("accuracy", 95, r"test_accuracy is a share.*\n?.*Did you mean 0\.95\?"),
        ("accuracy", 0, "every model has test_accuracy >= 0"),
        ("calibration", 1, "every model has test_calibration_error <= 1"),
        ("accuracy", float("nan"), "not a finite number"),
        ("champion", 1, "a significance level lies between 0 and 1"),
        ("size", -1, "model_megabytes is never negative"),
        ("acuracy", 0.9, "has no gate 'acuracy'.*\n?.*It has accuracy, champion"),
        ("robustness", 0.1, "of the kind robustness: it has threshold = 0.1, and"),
        ("membership", 0.6, 'needs evaluation.depth = "full"'),
    ],
)
def test_a_threshold_that_makes_no_sense_is_refused_and_nothing_is_written(
    alone, gate, threshold, message
):
    with pytest.raises(HeadraceError, match=message) as caught:
        change_gate("blobs", gate, threshold, alone)
    assert caught.value.exit_code == 2
    assert file_of(alone).read_text() == HEAD + GATES


@pytest.mark.parametrize(
    "gates",
    [
        'gates = [{ name = "accuracy", threshold = 0.1 }]\n',
        'gates = [\n  { name = "accuracy", threshold = 0.1 },\n]\n',
    ],
)
def test_gates_in_one_list_are_left_to_a_person(alone, gates):
    text = gates + HEAD
    write(alone.project, text)
    with pytest.raises(SpecError, match=r"by hand: accuracy: 0\.95"):
        change_gate("blobs", "accuracy", 0.95, alone)
    with pytest.raises(SpecError, match=r"by hand: latency: 9"):
        change_gate("blobs", "latency", 9, alone)
    assert file_of(alone).read_text() == text


def test_a_table_in_a_text_of_many_lines_is_no_gate(alone):
    text = 'description = """\n[[gates]]\nthreshold = 3\n"""\n' + HEAD + GATES
    write(alone.project, text)
    with pytest.raises(SpecError, match="Write these thresholds by hand"):
        change_gate("blobs", "accuracy", 0.95, alone)
    assert file_of(alone).read_text() == text


def test_a_link_stays_one_and_the_mode_is_kept(alone):
    file = file_of(alone)
    real = file.rename(alone.project / "real.toml")
    real.chmod(0o640)
    file.symlink_to(real)
    change_gate("blobs", "accuracy", 0.95, alone)
    assert file.is_symlink()
    assert "0.95" in real.read_text()
    assert os.stat(real).st_mode & 0o777 == 0o640


def test_a_pipeline_that_comes_with_headrace_is_not_changed(alone):
    with pytest.raises(UsageError, match="digits comes with Headrace"):
        change_gate("digits", "accuracy", 0.9, alone)
    bundled = find_pipeline("digits", alone) / "pipeline.toml"
    file_of(alone).unlink()
    file_of(alone).symlink_to(bundled)
    with pytest.raises(UsageError, match="comes with Headrace"):
        change_gate("blobs", "accuracy", 0.9, alone)


def test_of_changes_at_once_none_is_lost(alone):
    changes = [("accuracy", 0.95), ("champion", 0.01), ("weak_slice", 0.1)]
    with ThreadPoolExecutor(len(changes)) as pool:
        tries = [pool.submit(change_gate, "blobs", *one, alone) for one in changes]
        for one in tries:
            one.result()
    gates = tomllib.loads(file_of(alone).read_text())["gates"]
    assert {(gate["name"], gate["threshold"]) for gate in gates} == {*changes}
