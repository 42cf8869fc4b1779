"""Progress: a line now and then, few lines for many epochs, bars on a terminal."""

import os
import pty
import subprocess
import sys

import pytest

from headrace.display import progress
from headrace.display.progress import Progress, counted
from headrace_cli.answers import _display

BARS = """
import logging, time
from headrace.display.progress import Progress
from headrace_cli.answers import show_progress

logging.getLogger("headrace").setLevel(logging.INFO)
show_progress()
with Progress("epoch", 40, is_listed=True) as outer:
    for epoch in range(1, 41):
        with Progress("step", 2, "steps") as inner:
            for step in (1, 2):
                inner.update(step, "loss 0.5")
        outer.update(epoch, "good\\x1b[31m")
    time.sleep(0.3)
print("the end")
"""


@pytest.mark.parametrize(
    ("total", "lines"),
    [(3, [1, 2, 3]), (20, [*range(1, 21)]), (200, [1, *range(10, 201, 10)])],
)
def test_many_steps_have_few_lines(caplog, total, lines):
    with (
        caplog.at_level("INFO", "headrace"),
        Progress("epoch", total, is_listed=True) as shown,
    ):
        for number in range(1, total + 1):
            shown.update(number, "loss 1")
    assert caplog.messages == [f"epoch {n}/{total}  loss 1" for n in lines]


@pytest.mark.parametrize("seconds", [3, 8, 10])
def test_the_last_line_is_complete_or_there_is_none(caplog, monkeypatch, seconds):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with caplog.at_level("INFO", "headrace"), Progress("score", unit="items") as shown:
        for second in range(1, seconds + 1):
            now[0] = float(second)
            shown.update(second)
    last = {3: [], 8: ["score: 8 items"], 10: ["score: 10 items"]}[seconds]
    assert caplog.messages[-1:] == last
    assert len(caplog.messages) == len(set(caplog.messages))


def test_lines_are_rarer_the_longer_it_takes(caplog, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with caplog.at_level("INFO", "headrace"), Progress("copy", unit="items") as shown:
        for second in range(1, 3601):
            now[0] = float(second)
            shown.update(1000 * second)
    assert caplog.messages[:2] == ["copy: 5,000 items", "copy: 10,000 items"]
    assert 40 < len(caplog.messages) < 60


def test_items_are_counted_as_they_are_done(caplog, monkeypatch):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN", 0)
    with caplog.at_level("INFO", "headrace"):
        assert list(counted(["a", "b"], "verify", "files")) == ["a", "b"]
    assert caplog.messages == ["verify: 1 of 2 files", "verify: 2 of 2 files"]


def run_on_a_terminal(*arguments):
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(slave)
    text = b""
    while True:
        try:
            block = os.read(master, 65536)
        except OSError:  # the other end is closed
            break
        if not block:
            break
        text += block
    assert process.wait() == 0, text
    return text.decode()


def test_a_terminal_shows_bars_and_lines_above_them():
    text = run_on_a_terminal("-c", BARS)
    assert "━" in text
    assert "40/40" in text
    assert text.count("epoch 40/40  good") == 1
    assert "\x1b[31m" not in text
    assert text.rstrip().endswith("the end")


def test_without_a_terminal_rich_is_not_loaded():
    code = BARS + "import sys; assert 'rich.progress' not in sys.modules"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("epoch ") == 21


def test_a_bar_says_what_is_left_of_long_epochs():
    seconds, display = [0.0], _display()
    display.stop()
    display.get_time = lambda: seconds[0]
    bar = display.add_task("epoch", total=200, detail="")
    for epoch in (1, 2, 3):
        seconds[0] += 40
        display.update(bar, completed=epoch)
    assert display.tasks[0].time_remaining == 197 * 40
