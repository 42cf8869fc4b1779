"""The sdist and the wheel of a commit, built twice: every byte must be the same."""

import os
import re
import subprocess
import sys
import tomllib


def git(root, *arguments):
    """What a command of git answers, as bytes."""
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def check(root):
    """The version that can be released from a folder; raises SystemExit if none can."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    version = str(project["project"]["version"])
    if changed := git(root, "status", "--porcelain").decode():
        raise SystemExit(f"Commit or remove first what is not committed:\n{changed}")
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    entry = rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$"
    if not re.search(entry, changelog, re.MULTILINE):
        raise SystemExit(
            f"CHANGELOG.md has no entry for the version of pyproject.toml, {version}. "
            f"Write one that begins: ## [{version}] - YEAR-MONTH-DAY"
        )
    if git(root, "tag", "--list", f"v{version}"):
        raise SystemExit(f"v{version} is tagged already: set the next version.")
    return version


def build_twice(root, place):
    """Build what is committed; raises SystemExit unless both builds are the same.

    Args:
        root: the repository.
        place: an empty folder.

    Returns:
        the wheel and the sdist.
    """
    first = _build(root, place / "first", umask=0o022)
    again = _build(root, place / "once" / "more", "--touch", umask=0o077)
    names = [[path.name for path in built] for built in (first, again)]
    if names[0] != names[1]:
        raise SystemExit(f"Two builds made other files: {names[0]} and {names[1]}.")
    for one, other in zip(first, again, strict=True):
        if one.read_bytes() != other.read_bytes():
            raise SystemExit(f"Two builds differ: compare {one} and {other}.")
    return first


def seconds_of_commit(root):
    """When the commit was made, in seconds since 1970."""
    return int(git(root, "log", "-1", "--format=%ct"))


def _build(root, place, *unpacking, umask):
    source, built = place / "source", place / "built"
    source.mkdir(parents=True)
    files = git(root, "archive", "HEAD")
    unpack = ["tar", "-x", "--no-same-permissions", *unpacking, "-C", str(source)]
    subprocess.run(unpack, input=files, check=True, umask=umask)
    command = [sys.executable, "-m", "uv", "build", "--quiet", "--no-build-isolation"]
    command += ["--python", sys.executable, "--out-dir", str(built), str(source)]
    epoch = {"SOURCE_DATE_EPOCH": str(seconds_of_commit(root))}
    subprocess.run(command, check=True, umask=umask, env={**os.environ, **epoch})
    return sorted(built.glob("headrace-*"))  # "-" comes before "."
