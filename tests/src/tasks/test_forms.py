"""What tasks share."""

import numpy as np
import pytest

from headrace.tasks.forms import per_weight


def test_the_mean_of_scores_per_weight_is_the_ratio_of_the_sums():
    edits, words = np.array([1.0, 0.0, 3.0]), np.array([2.0, 5.0, 3.0])
    assert per_weight(edits, words).mean() == pytest.approx(4 / 10)
    assert per_weight(np.array([True, False]), None).tolist() == [1.0, 0.0]
    assert per_weight(np.empty(0), np.empty(0)).tolist() == []
