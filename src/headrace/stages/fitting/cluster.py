"""Several machines that fit one model together, as ``TF_CONFIG`` names them.

The first worker is the chief: it runs the pipeline, logs, writes checkpoints and has
the result. The others run ``python -m headrace.stages.fitting.worker``. The chief sends
them the job and the checkpoint.
"""

from __future__ import annotations

import importlib.metadata
import json
import socket
import time
from typing import Any

import numpy as np
from pydantic import Field

from headrace.errors import DependencyError, UsageError
from headrace.pipeline import PipelineSpec
from headrace.records import ContractRecord, Record, SnapshotRecord
from headrace.settings import variable

VARIABLE = "TF_CONFIG"
# A dead machine is noticed within seconds; this ends the wait for one that hangs.
PATIENCE_SECONDS = 600
COMING_SECONDS = 120


def _versions() -> dict[str, str]:
    names = ("headrace", "keras", "numpy", "tensorflow")
    return {name: importlib.metadata.version(name) for name in names}


class Job(Record):
    """The input of a fit on several machines.

    Attributes:
        folder: of the pipeline, as `headrace.state.packing.pack_folder` names it.
        versions: of packages that must be equal on all machines.
    """

    spec: PipelineSpec
    builder: str
    folder: str
    snapshot: SnapshotRecord
    contract: ContractRecord
    versions: dict[str, str] = Field(default_factory=_versions)


def has_peers() -> bool:
    """Whether ``TF_CONFIG`` names several workers.

    Raises:
        UsageError: it is not of the form that TensorFlow reads.
    """
    return len(_workers()[0]) > 1


def spans_machines(strategy: Any) -> bool:
    """Whether a strategy is of several machines."""
    import tensorflow as tf

    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def lead(job: Job) -> Any:
    """Join the other machines and send them a job; return the strategy.

    Raises:
        UsageError: this machine is not the chief.
        DependencyError: another machine does not answer.
    """
    if _workers()[1] != 0:
        raise UsageError(
            f"{VARIABLE} makes this machine worker {_workers()[1]}, and only worker 0 "
            "runs the pipeline.",
            "Start python -m headrace.stages.fitting.worker here instead.",
        )
    for address in _workers()[0][1:]:
        _await(address)
    strategy = _join()
    share(strategy, job.model_dump_json().encode())
    return strategy


def follow() -> tuple[Any, Job]:
    """Join the chief; return the strategy and the job.

    Raises:
        UsageError: this machine is the chief, or has other versions of packages.
        DependencyError: the chief does not answer.
    """
    if not has_peers() or _workers()[1] == 0:
        raise UsageError(
            f"{VARIABLE} does not make this machine one of several workers after the "
            "first.",
            "Set it as TensorFlow's page on multi-worker training says.",
        )
    strategy = _join()
    job = Job.model_validate_json(share(strategy, b""))
    theirs = {k: v for k, v in job.versions.items() if _versions().get(k) != v}
    if theirs:
        raise UsageError(
            f"The chief has {theirs}, and this machine {_versions()}.",
            "Install the same lock on all machines.",
        )
    return strategy, job


def share(strategy: Any, data: bytes) -> bytes:
    """Send the chief's bytes to all machines; the others' bytes are ignored.

    A variable of the strategy begins with the chief's value on every machine.
    """
    import tensorflow as tf

    with strategy.scope():
        size = int(tf.Variable(np.int64(len(data))).numpy())
        if not size:  # TensorFlow crashes on an empty tensor
            return b""
        words = np.frombuffer(data[:size].ljust(-(-size // 4) * 4, b"\0"), np.int32)
        shared = tf.Variable(words).numpy()
    return bytes(np.asarray(shared, np.int32).tobytes()[:size])


def _await(address: str) -> None:
    """Wait for a worker; TensorFlow itself would wait an hour."""
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + COMING_SECONDS
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise DependencyError(
                    f"The worker {address} of {VARIABLE} does not answer: {error}.",
                    "Start python -m headrace.stages.fitting.worker there, and run the "
                    "same command again.",
                ) from None
        time.sleep(0.2)


def _join() -> Any:
    """Connect the machines, before anything is computed in this process."""
    import tensorflow as tf

    kind = tf.distribute.experimental.CommunicationOptions
    options = kind(timeout_seconds=PATIENCE_SECONDS)
    try:
        return tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
    except tf.errors.OpError as error:
        raise DependencyError(
            f"The machines of {VARIABLE} do not come together: {error.message}.",
            "Start a process on each of them, and run the same command again.",
        ) from error


def _workers() -> tuple[list[str], int]:
    """The addresses of all workers, the chief's first, and our index in them."""
    text = variable(VARIABLE) or "{}"
    try:
        config = json.loads(text)
        cluster, task = config.get("cluster", {}), config.get("task", {})
        chiefs, others = cluster.get("chief", []), cluster.get("worker", [])
        if not isinstance(chiefs, list) or not isinstance(others, list):
            raise TypeError("its workers are no list")
        workers = [*chiefs, *others]
        for address in workers:
            int(address.rpartition(":")[2])  # the port
        first = len(chiefs) if task.get("type") == "worker" else 0
        return workers, first + int(task.get("index", 0))
    except (ValueError, AttributeError, TypeError) as error:
        raise UsageError(
            f"{VARIABLE} cannot be read: {error}.",
            'It is JSON such as {"cluster": {"worker": ["a:1", "b:1"]}, "task": '
            '{"type": "worker", "index": 0}}.',
        ) from None
