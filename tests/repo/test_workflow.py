"""The workflow on the forge runs what a person runs, with pinned actions."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def steps() -> list[dict[str, Any]]:
    files = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in WORKFLOWS]
    return [
        step for file in files for job in file["jobs"].values() for step in job["steps"]
    ]


def test_it_runs_the_one_script() -> None:
    assert [step["run"] for step in steps() if "run" in step] == [".ci/run"]


def test_every_action_is_pinned_by_its_commit() -> None:
    used = [step["uses"] for step in steps() if "uses" in step]
    assert used
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", name) for name in used)


def test_it_may_only_read() -> None:
    for path in WORKFLOWS:
        file = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert file["permissions"] == {"contents": "read"}
