"""The workflow on the forge runs what a person runs, with pinned actions."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def steps():
    files = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in WORKFLOWS]
    return [
        step for file in files for job in file["jobs"].values() for step in job["steps"]
    ]


def test_it_runs_the_one_script():
    assert [step["run"] for step in steps() if "run" in step] == [".ci/run"]


def test_all_of_it_has_an_hour_and_nothing_is_tried_again():
    text = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    limits = re.findall(r"^limit (\d+) make (\S+)", text, re.MULTILINE)
    assert sum(int(seconds) for seconds, _ in limits) <= 3600
    assert [target for _, target in limits][:-1] == [
        *("setup", "check", "docs", "test", "test-system")
    ]
    assert "--last-failed" not in text
    assert text.index("left=$((3600 - SECONDS))") > text.rindex("limit 600")
    assert text.rindex("make test-engine") > text.index("left=")


def test_every_action_is_pinned_by_its_commit():
    used = [step["uses"] for step in steps() if "uses" in step]
    assert used
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", name) for name in used)
