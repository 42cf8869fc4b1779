"""A profile holds what windows are compared with, and survives being stored."""

import dataclasses
import io

import numpy as np
import pytest
from tests.src.monitoring.conftest import DATA, Digits

from headrace.errors import InputError, IntegrityError
from headrace.monitoring import profiles as module
from headrace.monitoring.profiles import REFERENCE_ROWS, Profile, make_profile
from headrace.tasks import task


def test_a_stored_profile_is_the_same(profile):
    data = profile.to_bytes()
    again = Profile.from_bytes(data)

    assert again.facts == profile.facts
    assert again.items.tolist() == profile.items.tolist()
    np.testing.assert_array_equal(again.outputs, profile.outputs)
    assert again.columns.keys() == profile.columns.keys()
    assert all(again.columns[n].dtype == v.dtype for n, v in profile.columns.items())
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        assert all(file[name].dtype.kind in "SUbfiu" for name in file.files)


def test_a_profile_has_the_score_with_its_interval_and_own_columns(profile):
    facts = profile.facts

    assert facts.rows == len(profile.scores) == 1000
    assert facts.low < facts.score < facts.high
    assert facts.score == pytest.approx(profile.scores.mean())
    assert "mean" in profile.columns
    assert "inverted" not in profile.columns


def test_each_item_is_in_the_reference_once_and_test_comes_first(digits):
    rows = np.array([0, 1, 1, 2, 5])

    profile = make_profile(digits.answer, digits.held_out(rows), DATA, "")

    assert profile.items.tolist() == [f"{row:064x}" for row in (0, 1, 2, 5)]
    assert REFERENCE_ROWS == 2000


def test_the_temperature_is_that_of_val_where_the_reference_has_none(
    digits, monkeypatch
):
    monkeypatch.setattr(module, "REFERENCE_ROWS", 300)
    rows = digits.rows
    of_val = np.flatnonzero(rows.is_val)[:100]
    # Val is answered wrongly, so that its temperature tells it from test.
    wrong = rows.targets.copy()
    wrong[of_val] = (wrong[of_val] + 1) % 10
    some = np.concatenate([np.flatnonzero(~rows.is_val)[:400], of_val])
    held_out = Digits(digits.answer, dataclasses.replace(rows, targets=wrong))

    profile = make_profile(digits.answer, held_out.held_out(some), DATA, "")

    expected = task("classification").judge.temperature(
        digits.answer(rows.items[of_val]), wrong[of_val]
    )
    assert profile.facts.temperature == pytest.approx(expected)
    assert profile.facts.rows == 300
    assert not set(profile.items.tolist()) & set(rows.digests[of_val].tolist())


def test_no_rows_are_refused(digits):
    nothing = digits.held_out(np.array([], np.int64))

    with pytest.raises(InputError, match="no held-out rows"):
        make_profile(digits.answer, nothing, DATA, "")


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 and nothing more", None])
def test_what_is_no_profile_is_refused(profile, damage):
    data = profile.to_bytes()[:-200] if damage is None else damage

    with pytest.raises(IntegrityError, match="reference profile"):
        Profile.from_bytes(data)
