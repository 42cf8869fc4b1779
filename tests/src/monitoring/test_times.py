"""Times as users give them."""

from datetime import UTC, datetime

import pytest

from headrace.errors import UsageError
from headrace.monitoring import moment

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("24h", datetime(2026, 3, 9, 12, tzinfo=UTC)),
        ("7d", datetime(2026, 3, 3, 12, tzinfo=UTC)),
        ("30m", datetime(2026, 3, 10, 11, 30, tzinfo=UTC)),
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T12:00+02:00", datetime(2026, 1, 31, 10, tzinfo=UTC)),
    ],
)
def test_a_time_is_an_age_a_date_or_a_moment(text, expected):
    assert moment(text, NOW) == expected


@pytest.mark.parametrize(
    "text", ["yesterday", "", "24", "-3h", "999999w", "2026-13-01"]
)
def test_what_is_no_time_is_refused(text):
    with pytest.raises(UsageError, match="is not a time"):
        moment(text, NOW)
