"""The summary as text: what it quotes is printed as it is."""

import logging

import pytest

from headrace.errors import UsageError
from headrace.pipeline import load_spec
from headrace.records import TrainingRecord
from headrace.settings import Settings
from headrace_cli.summary import show_summary
from headrace_flows.run import Run
from headrace_flows.summary import Summary, _epochs_of, failed
from headrace_ops.live import mlflow_page


def _summary(**fields):
    nothing = dict.fromkeys(
        ("version", "snapshot", "run_id", "flow_run_id", "weights_digest")
    )
    values = {
        **{"pipeline": "pets", "task": "classification", "status": "refused"},
        **{"model": "pets", "reason": "so", "seconds": 1.0, "stages": []},
        **{"warnings": [], "links": {}, "overrides": []},
        **{"experiment": False, **nothing, **fields},
    }
    return Summary.model_validate(values)


def _printed(tmp_path, capsys, **fields):
    settings = Settings(project=tmp_path, home=tmp_path / "home")
    show_summary(_summary(**fields), settings)
    return capsys.readouterr().out.splitlines()


def test_brackets_and_missing_numbers_do_not_break_the_summary(tmp_path, capsys):
    text = "[Errno 28] no room in [/tmp/x]"
    stage = {"name": "train", "state": "failed", "seconds": 1.0, "why": text}
    gate = {"name": "size", "passed": False, "value": None, "threshold": 1.0}
    metrics = {"test_accuracy": 0.5, "test_accuracy_low": 0.4, "test_accuracy_high": 1}
    gates = [{**gate, "reason": text}]
    fields = {"reason": text, "stages": [stage], "gates": gates, "metrics": metrics}
    printed = "\n".join(_printed(tmp_path, capsys, **fields))
    assert printed.count("[Errno 28]") == 2, "the stage does not repeat the reason"
    assert printed.count("[/tmp/x]") == 2
    assert "log loss unknown" in printed


def test_unseen_groups_have_their_confidence_in_the_summary(tmp_path, capsys):
    unseen = {"accuracy": 0.663, "confidence": 0.774, "right": 0.663}
    metrics = {"test_accuracy": 0.7, "test_accuracy_low": 0.6, "test_accuracy_high": 1}
    fields = {"metrics": metrics, "slices": {"groups=unseen": unseen}}
    line = "  groups not in train: 0.6630 (mean confidence 0.77, 0.66 are right)"
    assert line in _printed(tmp_path, capsys, **fields)


def test_where_an_error_was_raised_is_shown_if_more_is_asked_for(
    settings, project, caplog
):
    folder = project / "pipelines" / "blobs"
    run = Run(load_spec(folder), folder, settings)
    try:
        raise UsageError("it failed") from ZeroDivisionError()
    except UsageError as error:
        failed(run, error)
        assert not caplog.text
        caplog.set_level(logging.DEBUG, logger="headrace")
        summary, exit_code = failed(run, error)
    assert summary.error is not None
    assert (summary.error.message, exit_code) == ("it failed", 2)
    assert "ZeroDivisionError" in caplog.text and __file__ in caplog.text


def test_gates_are_aligned_and_no_line_ends_with_blanks(tmp_path, capsys):
    gates = [
        {"name": "accuracy", "passed": True, "value": 0.9253, "threshold": 0.88},
        {"name": "size", "passed": False, "value": 300.0, "threshold": 100.0},
    ]
    gates[0]["compared"] = "0.9253 >= 0.88"
    gates[1] |= {"reason": "too large", "compared": "300 <= 100"}
    stages = [
        {"name": "train", "state": "completed", "seconds": 1.0, "why": "first run"},
        {"name": "evaluate", "state": "completed", "seconds": 1.0, "why": ""},
    ]
    lines = _printed(tmp_path, capsys, gates=gates, stages=stages)
    assert "  gate accuracy  pass  0.9253 >= 0.88" in lines
    assert "  gate size      FAIL  300 <= 100      too large" in lines
    assert [line for line in lines if line != line.rstrip()] == []


def test_an_unchanged_run_says_of_which_evaluation_its_gates_are(tmp_path, capsys):
    gate = {"name": "champion", "passed": True, "value": None, "threshold": 0.05}
    stage = {"name": "evaluate", "state": "cached", "seconds": 0.0, "why": ""}
    fields = {"status": "unchanged", "version": 1, "stages": [stage]}
    lines = _printed(tmp_path, capsys, gates=[gate], **fields)
    place = lines.index("  gates as of the evaluation of version 1:")
    assert lines[place + 1].startswith("  gate champion")


def test_links_are_those_of_a_browser_where_it_reaches_mlflow_elsewhere(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    settings = Settings(project=tmp_path, home=tmp_path / "home")
    assert mlflow_page(settings, "x").startswith("http://mlflow:5000/#/x?")
    monkeypatch.setenv("HEADRACE_MLFLOW_UI_URL", "https://ml.example.org/mlflow/")
    settings = Settings(project=tmp_path, home=tmp_path / "home")
    assert mlflow_page(settings, "x").startswith("https://ml.example.org/mlflow/#/x?")
    monkeypatch.setenv("HEADRACE_MLFLOW_UI_URL", "ml.example.org")
    with pytest.raises(UsageError, match=r"HEADRACE_MLFLOW_UI_URL is 'ml.example.org'"):
        Settings(project=tmp_path)


def test_without_a_server_the_command_that_serves_the_pages_is_said(tmp_path, capsys):
    settings = Settings(project=tmp_path, home=tmp_path / "home")
    assert mlflow_page(settings, "x") == ""
    ids = {"run_id": "a" * 32, "flow_run_id": "f"}
    assert "  mlflow, prefect: headrace up" in _printed(tmp_path, capsys, **ids)
    links = {"mlflow": "http://mlflow:5000/#/x"}
    lines = _printed(tmp_path, capsys, **ids, links=links)
    assert "  mlflow: http://mlflow:5000/#/x" in lines
    assert "  prefect: headrace up" in lines
    assert not any("headrace up" in line for line in _printed(tmp_path, capsys))


def test_an_early_stop_is_said_with_its_epochs(tmp_path, capsys):
    stopped = {"epoch": 55, "best_epoch": 35, "epochs": 200}
    printed = _printed(tmp_path, capsys, stopped_early=stopped)
    line = "  stopped early: after epoch 55 of 200; the model has the weights of "
    assert f"{line}epoch 35" in printed
    assert not [one for one in _printed(tmp_path, capsys) if "stopped" in one]


def test_an_earlier_epoch_that_is_kept_is_said(tmp_path, capsys):
    kept = {"epoch": 12, "epochs": 20}
    printed = _printed(tmp_path, capsys, kept_epoch=kept)
    line = "  kept: epoch 12 of 20, which has the lowest validation loss"
    assert line in printed


@pytest.mark.parametrize(
    ("metrics", "kept"),
    [
        ({"best_epoch": 2.0}, {"epoch": 2, "epochs": 3}),
        ({"best_epoch": 3.0}, None),
        ({"best_epoch": 1.0, "stopped_epoch": 2.0}, None),
        ({}, None),
    ],
)
def test_the_last_epoch_and_that_of_an_early_stop_are_not_said_twice(
    settings, project, metrics, kept
):
    folder = project / "pipelines" / "blobs"
    run = Run(load_spec(folder), folder, settings)
    run.training = TrainingRecord.model_construct(metrics=metrics)
    found = {name: one.model_dump() for name, one in _epochs_of(run).items()}
    assert found.get("kept_epoch") == kept
    assert ("stopped_early" in found) == ("stopped_epoch" in metrics)


def test_the_thresholds_that_a_first_run_supports_are_printed(tmp_path, capsys):
    gate = {"gate": "accuracy", "threshold": 0.9692, "now": 0.225, "value": 1.0}
    printed = "\n".join(_printed(tmp_path, capsys, supported_gates=[gate]))
    assert "accuracy 0.9692 (now 0.225)" in printed
    assert "write them into the pipeline's file" in printed
