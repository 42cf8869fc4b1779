"""A process that serves has a file in its home, which goes with it."""

import json
import os
import subprocess
import sys

from headrace.state.announced import FOLDER, announced, servings
from headrace.state.processes import this_process

URL = "http://127.0.0.1:8080"


def test_who_serves_is_known_while_it_does(tmp_path):
    assert servings(tmp_path) == []
    with announced(tmp_path, URL, ["digits", "messages/3"]):
        (one,) = servings(tmp_path)
        assert (one.url, one.models) == (URL, ("digits", "messages/3"))
        assert (one.process, one.pid) == (str(this_process()), os.getpid())
    assert servings(tmp_path) == []
    assert not list((tmp_path / FOLDER).iterdir())


def test_who_was_killed_serves_no_more(tmp_path):
    code = "import os, signal, sys; from pathlib import Path\n"
    code += "from headrace.state.announced import announced\n"
    code += f"with announced(Path(sys.argv[1]), {URL!r}, ['digits']):\n"
    code += "    os.kill(os.getpid(), signal.SIGKILL)\n"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    (left,) = (tmp_path / FOLDER).iterdir()
    assert json.loads(left.read_text())["models"] == ["digits"]
    (tmp_path / FOLDER / "damaged.json").write_text("{")
    assert servings(tmp_path) == []
    with announced(tmp_path, URL, ["digits"]):
        assert len(list((tmp_path / FOLDER).iterdir())) == 1


def test_a_home_that_cannot_be_written_keeps_nobody_from_serving(tmp_path):
    (tmp_path / FOLDER).write_text("a file")
    with announced(tmp_path, URL, ["digits"]):
        assert servings(tmp_path) == []
