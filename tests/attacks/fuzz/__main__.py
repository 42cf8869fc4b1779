"""Fuzzing for as long as is asked for: ``python -m tests.attacks.fuzz --help``."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tests.attacks.fuzz.running import Report, distinct, fuzz
from tests.attacks.fuzz.seeds import all_seeds

_AT_ONCE = 50


def main() -> int:
    """Read mutants until the time is over; exit code 1 where one is a finding."""
    parser = argparse.ArgumentParser(prog="python -m tests.attacks.fuzz")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--first", type=int, default=0, help="number of a mutant")
    parser.add_argument("--seed", action="append", default=[], help="a seed's name")
    parser.add_argument("--keep", type=Path, default=Path("fuzz"), help="for findings")
    asked = parser.parse_args()
    seeds = [seed for seed in all_seeds() if not asked.seed or seed.name in asked.seed]
    end = time.monotonic() + 60 * asked.minutes
    report, first, told = Report(), asked.first, 0
    while time.monotonic() < end:
        for seed in seeds:
            fuzz(range(first, first + _AT_ONCE), report, [seed])
            for finding in report.findings[told:]:
                asked.keep.mkdir(parents=True, exist_ok=True)
                name = f"{finding.seed}-{finding.number}"
                (asked.keep / name).write_bytes(finding.data)
                _say(f"{name}: {finding.what}")
            told = len(report.findings)
            if time.monotonic() >= end:
                break
        first += _AT_ONCE
        _say(
            f"{report.count:,} mutants; {len(report.findings)} findings; slowest "
            f"{report.slowest[0]:.1f} s ({report.slowest[1]}), largest "
            f"{report.largest[0] / 1e6:,.0f} MB ({report.largest[1]})",
        )
    for finding, count in distinct(report.findings):
        _say(f"{count:,} x {finding.seed}: {finding.what}")
    return 1 if report.findings else 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
