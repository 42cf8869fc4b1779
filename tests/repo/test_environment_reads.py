"""The environment is read in one module, so that one page says what is asked of it."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
READER = "src/headrace/settings/__init__.py"
# What is set for this process, or handed on to another, is no reading.
PASSED_ON = re.compile(
    r"os\.environ(\.(setdefault|update|pop|clear)\(|\[\w+\] = |\[\"\w+\"\] = )"
    r"|\*\*os\.environ|dict\(os\.environ\)|= os\.environ if environment is None else"
)


def test_only_the_settings_read_the_environment():
    readers = set()
    for folder in ("src", "flows"):
        for path in (ROOT / folder).rglob("*.py"):
            rest = PASSED_ON.sub("", path.read_text(encoding="utf-8"))
            if re.search(r"os\.(environ|getenv)", rest):
                readers.add(path.relative_to(ROOT).as_posix())
    assert readers == {READER}
