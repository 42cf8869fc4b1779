"""Metrics, findings and pictures of a classification, against numbers by hand."""

import math

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from headrace.pipeline import EvaluationSpec, PipelineSpec
from headrace.records import DataDescription
from headrace.tasks.classification.judge import (
    JUDGE,
    calibration_error,
    draw_calibration,
    draw_confusion,
    rows_of_gate,
)
from headrace.tasks.forms import figure
from headrace.tasks.judging import wilson_interval

# Five rows of three classes; right, right, wrong (0 for 1), right, wrong (2 for 0).
GIVEN = np.array(
    [
        [0.85, 0.10, 0.05],
        [0.15, 0.75, 0.10],
        [0.65, 0.25, 0.10],
        [0.00, 0.05, 0.95],
        [0.25, 0.20, 0.55],
    ],
    np.float32,
)
LABELS = np.array([0, 1, 1, 2, 0], np.int32)
DATA = DataDescription(medium="image", shape=(1,), classes=("a", "b", "c"))
TENTHS = EvaluationSpec(confidence=0.95, calibration_bins=10)


def judged(outputs, labels=LABELS):
    return JUDGE.judged(outputs, labels, DATA)


def test_the_wilson_interval_of_eight_of_ten():
    # centre (0.8 + z²/20) / (1 + z²/10), z = 1.959964
    low, high = wilson_interval(8, 10, 0.95)
    assert low == pytest.approx(0.490162, abs=1e-6)
    assert high == pytest.approx(0.943318, abs=1e-6)


def test_the_wilson_interval_stays_between_nothing_and_all():
    assert wilson_interval(0, 10, 0.95) == pytest.approx((0, 0.277533), abs=1e-6)
    assert wilson_interval(10, 10, 0.95) == pytest.approx((0.722467, 1), abs=1e-6)
    assert all(math.isnan(bound) for bound in wilson_interval(0, 0, 0.95))


def test_confusion_counts_true_by_predicted():
    assert judged(GIVEN).confusion.tolist() == [[1, 0, 1], [1, 1, 0], [0, 0, 1]]


def test_a_caption_has_no_place_to_break_before_its_percent_sign():
    assert JUDGE.caption(GIVEN[2], 1, DATA) == "true b, predicted a\n(65%)"


def test_calibration_is_the_mean_gap_of_accuracy_and_confidence():
    bins = judged(GIVEN).calibration(2)
    # All confidences are at least 0.5: (0.85 + 0.75 + 0.65 + 0.95 + 0.55) / 5.
    assert bins[0] == {"rows": 0.0, "confidence": 0.0, "accuracy": 0.0}
    assert bins[1] == pytest.approx({"rows": 5, "confidence": 0.75, "accuracy": 0.6})
    assert calibration_error(bins) == pytest.approx(0.15)
    # In tenths each row has its own: 0.15 + 0.25 + 0.65 + 0.05 + 0.55 over five rows.
    tenths = calibration_error(judged(GIVEN).calibration(10))
    assert tenths == pytest.approx(0.33)


def test_full_confidence_falls_in_the_last_bin():
    sure = np.array([[1, 0, 0]], np.float32)
    bins = judged(sure, np.array([0], np.int32)).calibration(10)
    assert [b["rows"] for b in bins] == [0.0] * 9 + [1.0]


def test_no_rows_have_no_calibration_error():
    assert math.isnan(calibration_error([]))


def test_classification_metrics_by_hand():
    metrics, slices = judged(GIVEN).metrics(TENTHS)
    assert metrics["test_accuracy"] == 3 / 5
    losses = -np.log([0.85, 0.75, 0.25, 0.95, 0.25])
    assert metrics["test_log_loss"] == pytest.approx(losses.mean(), abs=1e-6)
    assert metrics["test_class_recall_min"] == 0.5
    assert metrics["non_finite_values"] == 0
    # f1: a 2/4, b 2/3, c 2/3
    assert metrics["test_macro_f1"] == pytest.approx((1 / 2 + 2 / 3 + 2 / 3) / 3)
    assert slices["class=a"] == {"rows": 2, "recall": 0.5, "precision": 0.5, "f1": 0.5}
    assert slices["class=b"] == pytest.approx(
        {"rows": 2, "recall": 0.5, "precision": 1, "f1": 2 / 3}
    )
    assert slices["class=c"] == pytest.approx(
        {"rows": 1, "recall": 1, "precision": 0.5, "f1": 2 / 3}
    )
    assert (metrics["test_accuracy_low"], metrics["test_accuracy_high"]) == (
        wilson_interval(3, 5, 0.95)
    )


def test_a_class_without_rows_has_no_recall_and_no_floor():
    metrics, slices = judged(GIVEN[:2], LABELS[:2]).metrics(TENTHS)
    assert math.isnan(slices["class=c"]["recall"])
    assert math.isnan(metrics["test_class_recall_min"])


def test_values_that_are_not_finite_are_counted():
    given = GIVEN.copy()
    given[0, 1], given[3, 2] = np.nan, np.inf
    metrics, _ = judged(given).metrics(TENTHS)
    assert metrics["non_finite_values"] == 2
    assert math.isnan(metrics["test_calibration_error"])


def spec_of(threshold, calibrate=False, **gate):
    return PipelineSpec.model_validate(
        {
            "name": "letters",
            "medium": "text",
            "data": {"source": "letters.csv"},
            "model": {"builder": "bag_of_ngrams"},
            "training": {"calibrate": calibrate},
            "gates": [{"name": "accuracy", "threshold": threshold, **gate}],
        }
    )


def labels_of(*sizes):
    return np.repeat(np.arange(len(sizes)), sizes).astype(np.int32)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_gate_needs_the_rows_at_which_its_interval_clears_the_majority(share):
    threshold = (1 + share) / 2
    needed = rows_of_gate(threshold, share, 0.95)
    z = 1.959963984540054
    for rows, clear in ((needed, True), (needed - 1, False)):
        score = (threshold - share) / np.sqrt(share * (1 - share) / rows)
        assert bool(score > z) is clear


def test_the_interval_of_a_model_that_just_passes_clears_the_majority():
    needed = rows_of_gate(0.75, 0.5, 0.95)
    assert needed == 16
    assert wilson_interval(12, 16, 0.95)[0] > 0.5 > wilson_interval(9, 12, 0.95)[0]


def test_a_gate_on_too_few_rows_is_told_with_the_number_needed():
    (finding,) = JUDGE.few_rows(spec_of(0.75), labels_of(6, 6), 100)
    assert (finding.check, finding.split, finding.count) == ("few_rows", "test", 12)
    assert finding.message == (
        "the gate 'accuracy' asks for 0.75 of 12 test rows, and needs 16: with fewer, "
        "a model that just passes is not shown to be better than always answering the "
        "largest class (50.0%)"
    )
    assert JUDGE.few_rows(spec_of(0.75), labels_of(8, 8), 100) == []


def test_a_gate_below_the_majority_is_no_matter_of_rows():
    assert JUDGE.few_rows(spec_of(0.5), labels_of(6, 6), 100) == []
    assert JUDGE.few_rows(spec_of(0.9, direction="max"), labels_of(6, 6), 100) == []


def test_a_calibration_by_too_few_rows_is_told_with_the_number_needed():
    (finding,) = JUDGE.few_rows(spec_of(0.5, calibrate=True), labels_of(50, 50), 2)
    assert (finding.check, finding.split, finding.count) == ("few_rows", "val", 2)
    assert finding.message == (
        "training.calibrate has 2 validation rows to choose a temperature by, and "
        "needs 50: the confidence of the answers is a rough estimate"
    )
    assert JUDGE.few_rows(spec_of(0.5, calibrate=True), labels_of(50, 50), 50) == []
    assert JUDGE.few_rows(spec_of(0.5, calibrate=False), labels_of(50, 50), 2) == []


@pytest.mark.parametrize("classes", [2, 40])
def test_confusion_of_few_and_many_classes(tmp_path, is_picture, classes):
    counts = np.diag(np.arange(classes))  # the first class has no rows
    names = [f"class {number}" for number in range(classes)]
    draw_confusion(counts, names, tmp_path / "confusion.png")
    assert is_picture(tmp_path / "confusion.png")


def drawn(monkeypatch, *arguments):
    """The figure of a confusion matrix, as it is written."""
    saved, save = [], Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda f, p, **o: (saved.append(f), save(f, p, **o))
    )
    draw_confusion(*arguments)
    return saved[0]


@pytest.mark.parametrize(("classes", "rows"), [(10, 12_345), (35, 12), (60, 12)])
def test_the_figures_in_cells_can_be_read_and_do_not_touch(
    tmp_path, monkeypatch, classes, rows
):
    counts = np.full((classes, classes), rows)
    names = [f"class {number}" for number in range(classes)]
    figure = drawn(monkeypatch, counts, names, tmp_path / "confusion.png")
    (axes,) = figure.axes
    cell = axes.get_window_extent().width / classes
    assert len(axes.texts) == classes**2
    assert {text.get_fontsize() for text in axes.texts} == {8}
    assert max(text.get_window_extent().width for text in axes.texts) < cell
    assert figure.get_window_extent().width < 2000


@pytest.mark.filterwarnings("error")
def test_classes_whose_letters_no_font_has_are_numbered(
    tmp_path, is_picture, monkeypatch
):
    names = ["cat", "\U0010fffd"]
    figure = drawn(monkeypatch, np.eye(2, dtype=int), names, tmp_path / "confusion.png")
    assert is_picture(tmp_path / "confusion.png")
    texts = {text.get_text() for text in figure.findobj(Text)}
    assert {"1 (1)", "2 (1)"} <= texts
    assert any("classes are numbered" in text for text in texts)


def test_calibration_with_empty_bins(tmp_path, is_picture):
    bins = [
        {"rows": 0.0, "confidence": 0.0, "accuracy": 0.0},
        {"rows": 3.0, "confidence": 0.8, "accuracy": 0.7},
    ]
    draw_calibration(bins, tmp_path / "calibration.png")
    assert is_picture(tmp_path / "calibration.png")


def test_an_answer_that_is_not_finite_is_wrong():
    """The largest of NaNs is the first class, which is the truth of two rows."""
    given = GIVEN.copy()
    given[0], given[3, 0] = np.nan, np.inf
    assert judged(given).scores.tolist() == [False, True, False, False, False]
    metrics, slices = judged(given).metrics(TENTHS)
    assert metrics["test_accuracy"] == 0.2
    assert slices["class=a"]["rows"] == 2
    assert (slices["class=a"]["recall"], slices["class=c"]["recall"]) == (0, 0)
    recall = judged(given).rate("class=a/recall")
    assert recall is not None
    assert not recall.scores[recall.about].any()


def test_answers_that_are_sure_and_right_have_no_negative_loss():
    metrics, _ = judged(np.eye(3, dtype=np.float32), np.arange(3)).metrics(TENTHS)
    assert figure(metrics, "test_log_loss") == "0.0000"
    assert math.copysign(1, metrics["test_log_loss"]) == 1
    assert figure({"test_log_loss": -0.0}, "test_log_loss") == "0.0000"
