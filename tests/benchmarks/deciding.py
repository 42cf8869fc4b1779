"""Promotes and rolls back, one after the other, in one process.

Usage: ``python deciding.py HOME COUNT``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from headrace.settings import Settings
from headrace.state.ledger import Ledger


def main() -> None:
    """Promote version 1 of ``digits``, and roll it back."""
    home, count = Path(sys.argv[1]), int(sys.argv[2])
    ledger = Ledger(Settings(project=home, home=home).database_url)
    how = {"who": "benchmark", "why": "a swap"}
    for number in range(count):
        sequence = ledger.sequence("digits")
        if number % 2:
            ledger.rollback("digits", expected_sequence=sequence, **how)
        else:
            ledger.promote("digits", 1, expected_sequence=sequence, forced=True, **how)


if __name__ == "__main__":
    main()
