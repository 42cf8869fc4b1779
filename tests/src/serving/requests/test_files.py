"""Files of the log: they are listed by hours, and kept for some days."""

from datetime import date, timedelta

import pytest
from tests.src.serving.requests.some import NOON, ids_of, paths, stream, write

from headrace.serving.requests.files import expire, hours, root_of


def test_hours_are_listed_with_their_files(settings):
    second = write(settings, [1], NOON + timedelta(hours=13))
    first = write(settings, [2], NOON)
    (first.parent / "notes.txt").write_text("not of the log")
    (first.parent / "xx-1.parquet").write_text("not of the log")
    listed = hours(root_of(settings.home), "digits")
    assert [hour.files() for hour in listed] == [[first], [second]]
    assert [hour.start for hour in listed] == [NOON, NOON + timedelta(hours=13)]
    assert hours(root_of(settings.home), "messages") == []


@pytest.mark.system
@pytest.mark.parametrize("keep_days", [1, 2, 30])
def test_days_are_kept_for_some_days(settings, keep_days):
    today = NOON.date()
    for age in range(35):
        stream(settings, [age], NOON - timedelta(days=age))
        stream(settings, [age], NOON - timedelta(days=age), "messages")
    expired = expire(root_of(settings.home), keep_days, today)
    assert len(expired) == 2 * (35 - keep_days)
    for model in ("digits", "messages"):
        assert ids_of(settings, model) == list(range(keep_days))
    assert expire(root_of(settings.home), keep_days, today) == []


def test_nothing_but_days_expires(settings):
    root = root_of(settings.home)
    assert expire(root, 1) == [], "there is no log yet"
    write(settings, [1])
    other = root / "digits" / "2020-notes"
    other.mkdir()
    expire(root, 1, date(2030, 1, 1))
    assert paths(settings) == []
    assert other.is_dir()
