"""Homes of releases, packed: ``python -m tests.releases.kept`` makes that of this one.

In a project of a few rows there is one champion, with its engine and a check of its
maps, and what it answered. Pictures are coarse, and what servers had in the home is
left out, as is the name of the machine.
"""

import shutil
import tarfile
import tempfile
from pathlib import Path

import pytest
from tests.blobs import BLOBS, write_blobs
from tests.homes import Home
from typer import echo

from headrace import __version__
from headrace.display import pictures
from headrace.models.engines import build_engine
from headrace.settings import Settings
from headrace.state import processes
from headrace.state.ledger import Ledger

FOLDER = Path(__file__).parent
SUFFIX = ".tar.xz"
PIPELINE, ITEMS, ANSWERS = "pipelines/blobs", "pipelines/blobs/blobs.npz", "answers.csv"
LEFT_OUT = shutil.ignore_patterns("prefect", "*.log", "*.lock")


def pack(packed):
    """Make a home of this version, and write it to a file."""
    with tempfile.TemporaryDirectory(prefix="headrace-", dir="/tmp") as place:
        project = Path(place, "project")
        _make(Home(project / ".headrace", project))
        kept = Path(place, "kept")
        shutil.copytree(project, kept, ignore=LEFT_OUT)
        _check_nothing_of_this_machine_is_in(kept)
        with tarfile.open(packed, "w:xz", preset=9) as archive:
            archive.add(kept, ".", filter=_nobodys)


def unpack(packed, project):
    """The home in a packed project."""
    with tarfile.open(packed) as archive:
        archive.extractall(project, filter="data")
    return Home(project / ".headrace", project)


def _make(home):
    folder = home.project / PIPELINE
    folder.mkdir(parents=True)
    (folder / "pipeline.toml").write_text(BLOBS)
    write_blobs(home.project / ITEMS, train=90, test=60)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "this_host", lambda: "mill")
        patch.setattr(pictures, "_DPI", 25)
        patch.setenv("HEADRACE_ENGINES", "none")  # it is built below
        for command in (
            ("run", "blobs"),
            ("score", "blobs", ITEMS, ANSWERS),
        ):
            done = home.headrace(*command)
            assert done.exit_code == 0, done.err
    settings = Settings(project=home.project, home=home.path, engines="auto")
    version = Ledger(settings.database_url).version("blobs", 1)
    assert build_engine(version, settings) is not None


def _check_nothing_of_this_machine_is_in(folder):
    own = (processes.this_host(), str(Path.home()), str(FOLDER.parents[1]))
    for path in (path for path in folder.rglob("*") if path.is_file()):
        found = [text for text in own if text.encode() in path.read_bytes()]
        assert not found, f"{path} has {found}"


def _nobodys(member):
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


if __name__ == "__main__":
    target = FOLDER / f"{__version__}{SUFFIX}"
    pack(target)
    echo(f"{target}: {target.stat().st_size:,} bytes")
