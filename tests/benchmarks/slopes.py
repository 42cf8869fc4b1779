"""What a run and its `verify` take of data of several sizes.

``python -m tests.benchmarks.slopes 10000 100000 1000000`` prints a JSON line for each
number of images: seconds of each stage, CPU of all processes, the most that one had
resident, and what the home has on the disk. With ``--objects`` the store is moto's
server behind a proxy that counts the requests. `scale.md` has what was measured.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from moto.server import ThreadedMotoServer
from tests.faults.proxy import FaultProxy

from .bench import HEADRACE, ROOT, read_answer
from .images import packaged, write_images
from .measure import Measured, measure

BUCKET = "models"
OPTIONS = ("--set", "training.epochs=1", "--set", "gates=[]", "--json")


def bytes_below(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())


class Slopes:
    """Runs on data of one size after the other.

    Args:
        place: a folder for data and homes.
        objects: the proxy before the object storage; None for a store on the disk.
    """

    def __init__(self, place: Path, objects: FaultProxy | None) -> None:
        self._place, self._objects, self._prefix = place, objects, ""

    def of(self, rows: int) -> dict[str, Any]:
        """What a run on so many images takes, and the `verify` after it."""
        self._prefix = f"{os.getpid()}-{rows}"
        data = write_images(self._place / "images.npz", rows, packaged())
        home = self._place / "home"
        run = self._headrace(home, "run", "digits", "--data", str(data), *OPTIONS)
        answer = read_answer(run.exit_code, run.stdout, run.stderr)
        requests = self._counted()
        verified = self._headrace(home, "verify", "--json")
        found = {
            "rows": rows,
            "bytes of the source": data.stat().st_size,
            "stages": {one["name"]: one["seconds"] for one in answer["stages"]},
            "run": _of(run),
            "verify": _of(verified),
            "verified": read_answer(
                verified.exit_code, verified.stdout, verified.stderr
            )["status"],
            "bytes of the home": bytes_below(home),
            "bytes of the store": bytes_below(home / "store"),
        }
        if self._objects is not None:
            counts = {"requests of run": requests, "of verify": self._counted()}
            found |= counts | {"objects": self._stored()}
        shutil.rmtree(home)
        data.unlink()
        return found

    def _headrace(self, home: Path, *arguments: str) -> Measured:
        return measure([HEADRACE, *arguments], self._environment(home), folder=ROOT)

    def _environment(self, home: Path) -> dict[str, str]:
        own = ("HEADRACE_", "PREFECT_", "MLFLOW_", "AWS_")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(own)}
        kept |= {"HEADRACE_HOME": str(home), "TF_CPP_MIN_LOG_LEVEL": "3"}
        if self._objects is None:
            return kept
        return {
            **kept,
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self._objects.url,
            "HEADRACE_STORE": f"s3://{BUCKET}/{self._prefix}",
        }

    def _counted(self) -> dict[str, int]:
        """The requests since the last count, by method."""
        if self._objects is None:
            return {}
        counts = Counter(request.method for request, _ in self._objects.requests)
        self._objects.requests.clear()
        return dict(counts)

    def _stored(self) -> dict[str, int]:
        client = _client(f"http://{self._objects.upstream}")  # type: ignore[union-attr]
        pages = client.get_paginator("list_objects_v2").paginate(
            Bucket=BUCKET, Prefix=f"{self._prefix}/"
        )
        sizes = [one["Size"] for page in pages for one in page.get("Contents", ())]
        return {"count": len(sizes), "bytes": sum(sizes)}


def _of(measured: Measured) -> dict[str, Any]:
    return {
        "wall_s": round(measured.wall_seconds, 1),
        "cpu_s": round(measured.cpu_seconds, 1),
        "peak_mib": measured.peaks(),
        "others": round(measured.surroundings.other_share, 2),
    }


def _client(url: str) -> Any:
    import boto3

    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
    return boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys)


@contextmanager
def _counting(wanted: bool) -> Iterator[FaultProxy | None]:
    if not wanted:
        yield None
        return
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        url = f"http://{host}:{port}"
        _client(url).create_bucket(Bucket=BUCKET)
        with FaultProxy(url) as proxy:
            yield proxy
    finally:
        server.stop()


def main(
    rows: Annotated[list[int], typer.Argument(help="Numbers of images.")],
    objects: Annotated[bool, typer.Option(help="The store is object storage.")] = False,
) -> None:
    """Print what runs on so many images take."""
    with tempfile.TemporaryDirectory(prefix="headrace-slopes-") as folder:
        for number in rows:
            with _counting(objects) as proxy:
                found = Slopes(Path(folder), proxy).of(number)
            sys.stdout.write(json.dumps(found) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    typer.run(main)
