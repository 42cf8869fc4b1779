"""Which requests a version gets: by their ids, evenly and always the same."""

import numpy as np
import pytest
from scipy.stats import kstest
from tests.src.serving.asked import IMAGES, TEXTS

from headrace.errors import UsageError
from headrace.serving.choosing import (
    answers_same_requests,
    check_same_requests,
    fraction_of,
)

KINDS = {
    "counted": lambda number: f"0f3a{number:08x}",
    "decimal": str,
    "timed": lambda number: f"2026-11-27T12:00:{number / 1000:09.3f}",
    "long": lambda number: "a" * 100 + str(number),
}


@pytest.mark.parametrize("name", KINDS)
def test_fractions_are_uniform_for_all_kinds_of_ids(name):
    make = KINDS[name]
    fractions = np.array([fraction_of(make(number)) for number in range(20_000)])
    assert kstest(fractions, "uniform").pvalue > 1e-3
    # Neighbours are independent: nobody can get the canary by counting.
    assert abs(np.corrcoef(fractions[:-1], fractions[1:])[0, 1]) < 0.03
    for share in (0.01, 0.05, 0.5):
        error = 4 * (share * (1 - share) / len(fractions)) ** 0.5
        assert abs((fractions < share).mean() - share) < error


def test_an_id_has_the_same_fraction_everywhere():
    assert fraction_of("r-1") == fraction_of("r-1") == pytest.approx(0.4906, abs=1e-4)


def test_two_versions_get_independent_requests():
    ids = [f"r{number}" for number in range(20_000)]
    one, other = (np.array([fraction_of(i, s) for i in ids]) for s in (b"2", b"3"))
    both = ((one < 0.1) & (other < 0.1)).mean()
    assert abs(both - 0.01) < 0.003


def test_a_version_that_takes_other_items_is_refused():
    assert answers_same_requests(IMAGES, IMAGES.model_copy())
    check_same_requests("digits/3", IMAGES, "digits/2", IMAGES.model_copy())
    larger = IMAGES.model_copy(update={"shape": (28, 28, 1)})
    assert not answers_same_requests(IMAGES, larger)
    with pytest.raises(UsageError, match=r"digits/3 .* digits/2: its shape is \(28, "):
        check_same_requests("digits/3", larger, "digits/2", IMAGES)
    other = IMAGES.model_copy(update={"target": {"classes": ["one", "two"]}})
    with pytest.raises(UsageError, match=r"its target is .*two.*, and not .*nine"):
        check_same_requests("digits/3", other, "digits/2", IMAGES)
    unmasked = TEXTS.model_copy(update={"mask": ()})
    with pytest.raises(UsageError, match=r"its mask is \(\), and not \('email',\)"):
        check_same_requests("messages/3", unmasked, "messages/2", TEXTS)
