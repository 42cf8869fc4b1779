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
    ("text", bombs.long_value, "HEADRACE_MAX_RATIO"),
    ("image", bombs.long_image, "HEADRACE_MAX_RATIO"),
    ("image", bombs.lists, r"at row 1 .*HEADRACE_MAX_FILE_BYTES"),
    ("image", bombs.images, r"49,000,000 bytes decoded.*data.max_item_bytes"),
    ("text", bombs.wide_csv, "20,000 columns.*the limit is 4,096"),
    ("text", bombs.wide_parquet, "the limit is 4,096"),
    ("audio", bombs.sounds, "over 500 times its size"),
]
OTHERS = [
    ("text", bombs.many_rows, "HEADRACE_MAX_RATIO"),
    ("text", bombs.rows_after_rows, "HEADRACE_MAX_RATIO"),
    ("text", bombs.many_keys, "4,097 columns or more"),
    ("image", bombs.smaller_images, "over 500 times its size"),
    ("image", bombs.equal_images, "60 items of 32,490,000 bytes are equal to"),
    ("image", bombs.wide_row, "40,000,000 bytes a row.*data.max_item_bytes"),
    ("image", bombs.wide_labels, "y has shape .* 40,000,000 bytes a row"),
    ("text", bombs.quotes, "HEADRACE_MAX_RATIO"),
    ("text", bombs.packed, "HEADRACE_MAX_RATIO"),
    ("image", bombs.long_name, "bytes in one piece.*HEADRACE_MAX_FILE_BYTES"),
    ("image", bombs.members, "HEADRACE_MAX_RATIO"),
    ("image", bombs.idx, "HEADRACE_MAX_RATIO"),
    ("image", bombs.scans, "2,005 scans"),
    ("text", bombs.texts, "has 209,715,200 bytes"),
    ("text", bombs.dictionary_of_xz, "over 268,435,456 bytes of memory to unpack"),
    ("image", bombs.zip_of_bzip2, "is packed by bzip2"),
]


@pytest.mark.parametrize(("medium", "make", "reason"), KNOWN)
def test_bombs_that_took_gigabytes_or_minutes(medium, make, reason, tmp_path):
    _refused(medium, make, reason, tmp_path)


@pytest.mark.integration
@pytest.mark.parametrize(("medium", "make", "reason"), OTHERS)
def test_other_bombs(medium, make, reason, tmp_path):
    _refused(medium, make, reason, tmp_path)


def _refused(medium, make, reason, folder):
    (folder / "source").mkdir()
    watched, answer = _check(medium, make(folder / "source"), folder)
    assert watched.code == 1, (watched.code, watched.errors[-1000:])
    assert "Traceback" not in watched.errors
    assert watched.peak_bytes < MEMORY_BYTES
    assert watched.cpu_seconds < CPU_SECONDS
    assert answer["status"] == "refused"
    assert re.search(reason, answer["reason"], re.DOTALL)
