"""What is told of the data as a whole: its classes, its splits and their scales."""

import numpy as np
import pytest
from tests.src.stages.ingestion.conftest import TEST, TRAIN, X, Y, write_npz


def test_classes_are_sorted_as_people_do(run, tmp_path):
    for labels, expected in (
        ([10, 9, -1], ("-1", "9", "10")),
        (["b10", "b9", "a"], ("a", "b9", "b10")),
    ):
        np.savez(tmp_path / "a.npz", x=X, y=np.array(labels)[Y])
        assert run(tmp_path / "a.npz").description.classes == expected


def test_swapped_splits_are_reported(run, tmp_path):
    np.savez(
        tmp_path / "a.npz",
        x_train=X[TEST],
        y_train=Y[TEST],
        x_test=X[:90],
        y_test=Y[:90],
    )
    (finding,) = run(tmp_path / "a.npz").findings
    assert (finding.check, finding.count) == ("swapped_splits", 90)
    assert "90 test items and only 20 train" in finding.message


@pytest.mark.parametrize(
    "test", [X[TEST] / 255, (X[TEST] > 99).astype(int), X[TEST] * 1.0]
)
def test_splits_in_different_scales_are_reported(run, tmp_path, test):
    train = X[TRAIN] / 255 if test.max() > 1 else X[TRAIN]
    np.savez(
        tmp_path / "a.npz", x_train=train, y_train=Y[TRAIN], x_test=test, y_test=Y[TEST]
    )
    (finding,) = run(tmp_path / "a.npz").findings
    assert finding.check == "scale"
    assert "test 0.." in finding.message


def test_findings_of_the_source_are_passed_on(run, tmp_path):
    record = run(write_npz(tmp_path / "a.npz", seed=np.array(1)))
    assert [finding.check for finding in record.findings] == ["ignored_files"]
