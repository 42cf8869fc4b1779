"""How a worker ends."""

import signal
import subprocess
import sys
import time

import psutil
import pytest

pytestmark = pytest.mark.system

# A worker that never gets away from a server, with a flow that heeds no signal.
WORKER = """
import asyncio, subprocess, sys
from headrace_ops import worker

worker.GRACE_SECONDS, worker.ENDING_SECONDS = 0.1, 1.0
ignoring = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
flow = [sys.executable, "-c", ignoring + "print('flow', flush=True); time.sleep(300)"]

class Waiting:
    async def start(self):
        subprocess.Popen(flow)
        while True:
            try:
                await asyncio.sleep(300)
            except asyncio.CancelledError:
                pass

asyncio.run(worker.run(Waiting()))
"""


@pytest.mark.parametrize("signals", [1, 2])
def test_a_worker_whose_server_does_not_answer_ends(signals):
    command = [sys.executable, "-c", WORKER]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **streams) as process:
        try:
            assert process.stdout.readline() == "flow\n"
            (flow,) = psutil.Process(process.pid).children()
            for _ in range(signals):
                process.send_signal(signal.SIGTERM)
                time.sleep(0.2)  # two at once would count as one
            assert process.wait(60) == 3
            assert "without reporting to the Prefect server: it did not end" in (
                process.stderr.read()
            )
            flow.wait(30)
        finally:
            process.kill()
