import numpy as np
import pytest

from headrace.data.sources.arrays import ArrayLabels, labels_as_text
from headrace.errors import SourceError


@pytest.mark.parametrize(
    "array",
    [
        np.array([2, 0, 1], np.uint8),
        np.array([2, 0, 1], ">i4"),
        np.array([2.0, 0.0, 1.0]),
        np.array([[2], [0], [1]]),
        np.array(["2", "0", "1"]),
        np.array([b"2", b"0", b"1"]),
        np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]], np.float32),
        np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]], bool),
    ],
)
def test_each_form_of_labels_is_the_same_text(array):
    assert labels_as_text(array, "y") == ArrayLabels(["2", "0", "1"])


def test_a_negative_label_stays_for_validation_to_judge():
    assert labels_as_text(np.array([-1, 3]), "y") == ArrayLabels(["-1", "3"])


def test_truth_values_are_0_and_1():
    assert labels_as_text(np.array([True, False]), "y") == ArrayLabels(["1", "0"])


@pytest.mark.parametrize(
    ("array", "first", "texts", "told"),
    [
        (np.array([0.0, 1.5]), 0, ["0", "1.5"], "y[1] is 1.5"),
        (np.array([0.0, 1.5]), 7, ["0", "1.5"], "y[8] is 1.5"),
        (np.array([0.5, -2.0, 0.25]), 0, ["0.5", "-2", "0.25"], "y[0] is 0.5"),
        (np.array([[1.0], [0.1]]), 0, ["1", "0.1"], "y[1] is 0.1"),
        (np.array([2.0**54]), 0, ["1.8014398509481984e+16"], f"y[0] is {2.0**54}"),
    ],
)
def test_a_number_that_is_not_whole_is_left_to_the_task(array, first, texts, told):
    """Whether it is a label; see `with_plain_labels` for one that takes none."""
    assert labels_as_text(array, "y", first) == ArrayLabels(texts, told)


@pytest.mark.parametrize(
    ("array", "seen"),
    [
        (np.array([np.nan, 1.0]), r"y\[0\] is nan, which is no label"),
        (np.array([1.0, np.inf]), r"y\[1\] is inf, which is no label"),
        (np.array([[1, 0], [1, 1]]), r"row 1 is \[1, 1\], with 2 ones"),
        (np.array([[1, 0], [0, 0]]), r"row 1 is \[0, 0\], with 0 ones"),
        (np.array([[1, 0], [1, 7]]), r"row 1 is \[1, 7\], with 1 ones"),
        (np.array([["a", "b"]]), "not one-hot"),
        (np.zeros((2, 3, 4)), r"rows of shape \(3, 4\), which is not one of l"),
        (np.array([1j]), "complex128 values, which are not labels"),
        (np.array(["a", "\ud800"]), "y holds text, from row 0 on, that is not Unicode"),
        (np.array([7**9], "<u4").view("<U1"), "that is not Unicode"),
        (np.array([b"\xff"]), "y holds text, from row 0 on, that is not Unicode"),
    ],
)
def test_what_is_no_label_is_refused_with_its_row(array, seen):
    with pytest.raises(SourceError, match=seen):
        labels_as_text(array, "y")


@pytest.mark.parametrize(
    ("array", "seen"),
    [
        (np.array([0.0, np.nan]), r"y\[8\] is nan"),
        (np.array([[1, 0], [1, 1]]), r"row 8 is \[1, 1\]"),
        (np.array([b"a", b"\xff"]), "y holds text, from row 7 on"),
    ],
)
def test_a_row_is_counted_from_the_beginning_of_the_array(array, seen):
    with pytest.raises(SourceError, match=seen):
        labels_as_text(array, "y", first=7)
