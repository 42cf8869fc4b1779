"""Small files that would take gigabytes or minutes: each is refused, or set aside.

What they take is measured from outside, of all processes together. Time is that of
computing, which another load on the machine leaves as it is.
"""

import json
import os
import re
import sys
from pathlib import Path

import pytest
from tests.attacks import bombs
from tests.attacks.watching import watch

MEMORY_BYTES = 2 * 10**9
CPU_SECONDS = 60
PIPELINE = """
medium = "{medium}"
data.source = "nothing"
gates = [{{ name = "finite" }}]
"""


def _check(medium, data, folder):
    """``headrace check`` in a project of its own."""
    pipeline = folder / "project" / "pipelines" / "hostile"
    pipeline.mkdir(parents=True)
    (pipeline / "pipeline.toml").write_text(PIPELINE.format(medium=medium))
    environment = {
        **os.environ,
        "HEADRACE_PROJECT": str(folder / "project"),
        "HEADRACE_HOME": str(folder / "home"),
    }
    headrace = str(Path(sys.executable).parent / "headrace")
    command = [headrace, "check", "hostile", "--data", str(data), "--json"]
    watched = watch(command, folder, environment)
    return watched, json.loads(watched.output or "{}")


KNOWN = [
    ("text", bombs.long_value, "49,999,998 bytes; one text has at most"),
    ("image", bombs.long_image, "None of the 100 items.*not one of PNG"),
    ("image", bombs.lists, r"from row 1; .*HEADRACE_MAX_FILE_BYTES"),
    ("image", bombs.images, r"49,000,000 bytes decoded.*data.max_item_bytes"),
    ("text", bombs.wide_csv, "20,000 columns.*the limit is 4,096"),
    ("text", bombs.wide_parquet, "the limit is 4,096"),
    ("audio", bombs.sounds, "over 500 times its size"),
    ("image", bombs.members, "huge.png has 1,073,741,824.*HEADRACE_MAX_FILE_BYTES"),
]


@pytest.mark.parametrize(("medium", "make", "reason"), KNOWN)
def test_bombs_that_took_gigabytes_or_minutes(medium, make, reason, tmp_path):
    (tmp_path / "source").mkdir()
    watched, answer = _check(medium, make(tmp_path / "source"), tmp_path)
    assert watched.code == 1, (watched.code, watched.errors[-1000:])
    assert "Traceback" not in watched.errors
    assert watched.peak_bytes < MEMORY_BYTES
    assert watched.cpu_seconds < CPU_SECONDS
    assert answer["status"] == "refused"
    assert re.search(reason, answer["reason"], re.DOTALL)
