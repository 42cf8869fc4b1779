"""A real browser for the tests: headless Chromium, driven over its DevTools socket."""

import contextlib
import json
import os
import shutil
import subprocess
import time
import urllib.request

import pytest
from websockets.sync.client import connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
    *("--no-first-run", "--disable-background-networking", "--disable-sync"),
    *("--disable-component-update", "--disable-dev-shm-usage"),
    *("--remote-debugging-port=0", "--window-size=1300,900"),
)


class Browser:
    """One page of a browser.

    Attributes:
        events: all that the browser told by itself, in order.
    """

    def __init__(self, socket):
        self._socket = socket
        self._last = 0
        self._statuses = []
        self.events = []

    def call(self, method, **parameters):
        """Call a method of the DevTools protocol."""
        self._last += 1
        call = {"id": self._last, "method": method, "params": parameters}
        self._socket.send(json.dumps(call))
        while True:
            answer = json.loads(self._socket.recv(timeout=120))
            if "method" in answer:
                self.events.append(answer)
            if answer.get("method") == "Network.responseReceived":
                response = answer["params"]["response"]
                self._statuses.append((response["url"], response["status"]))
            if answer.get("id") == self._last:
                assert "error" not in answer, answer
                result = answer["result"]
                return result

    def statuses(self):
        """The address and status of each answer since the last call of this."""
        self.run("1")
        found, self._statuses = self._statuses, []
        return found

    def open(self, url):
        """Open a page and wait until it has loaded."""
        self.call("Page.navigate", url=url)
        self.until("document.readyState === 'complete'")

    def run(self, script):
        """The value of a script in the page; a promise is waited for."""
        answer = self.call(
            "Runtime.evaluate",
            expression=script,
            awaitPromise=True,
            returnByValue=True,
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, script, seconds=60):
        """Wait until a script's value is true, in whatever page there is by then."""
        limit = time.monotonic() + seconds
        while True:
            with contextlib.suppress(AssertionError):  # the page is just changing
                if self.run(script):
                    return
            assert time.monotonic() < limit, script
            time.sleep(0.1)


@contextlib.contextmanager
def chromium(profile, *options):
    """Start the browser with a new profile; the test is skipped where there is none."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("no Chromium here (Debian: apt-get install chromium)")
    command = [program, *OPTIONS, f"--user-data-dir={profile}", *options, "about:blank"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HOME": str(profile)},
        start_new_session=True,
    )
    try:
        with connect(_page_of(profile), max_size=None, proxy=None) as socket:
            browser = Browser(socket)
            browser.call("Page.enable")
            browser.call("Runtime.enable")
            browser.call("Network.enable")
            yield browser
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _page_of(profile):
    limit = time.monotonic() + 60
    while True:
        with contextlib.suppress(OSError, ValueError, StopIteration):
            port = int((profile / "DevToolsActivePort").read_text().splitlines()[0])
            url = f"http://127.0.0.1:{port}/json/list"
            with urllib.request.urlopen(url, timeout=5) as answer:
                pages = json.load(answer)
            return str(
                next(p for p in pages if p["type"] == "page")["webSocketDebuggerUrl"]
            )
        assert time.monotonic() < limit, "the browser did not start"
        time.sleep(0.1)
