"""A home whose commands keep everything in object storage, and the storage."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.faults.proxy import FaultProxy

BUCKET = "models"
KEYS = {"AWS_ACCESS_KEY_ID": "ours", "AWS_SECRET_ACCESS_KEY": "canary-of-the-keys"}


@dataclass
class Storage:
    """Object storage behind a proxy that can break it."""

    proxy: FaultProxy
    client: Any
    prefix: str = "team"

    @property
    def environment(self):
        """Of a command that keeps everything there."""
        return {
            **KEYS,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.proxy.url,
            "HEADRACE_STORE": f"s3://{BUCKET}/{self.prefix}",
        }

    def keys(self):
        """All keys, with what is before them."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        return [o["Key"] for page in pages for o in page.get("Contents", ())]


@dataclass
class Place:
    """A home whose commands keep everything in the storage."""

    home: Path
    project: Path
    environment: dict[str, str] = field(default_factory=dict)
    seconds: float = 240

    def headrace(self, *arguments, **environment):
        """What a command answers, with its exit code and what it wrote."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AWS_", "HEADRACE_", "MLFLOW_", "PREFECT_"))
        }
        done = subprocess.run(
            [sys.executable, "-m", "headrace_cli", *arguments, "--json"],
            env={
                **inherited,
                "HEADRACE_HOME": str(self.home),
                "HEADRACE_PROJECT": str(self.project),
                "HEADRACE_USER": "ada@lab",
                "MLFLOW_DISABLE_TELEMETRY": "true",
                **self.environment,
                **environment,
            },
            cwd=self.project,
            capture_output=True,
            text=True,
            timeout=self.seconds,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        answer = json.loads(done.stdout)
        return {**answer, "exit": done.returncode, "told": done.stdout + done.stderr}


@pytest.fixture(scope="session")
def moto_url():
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def storage(moto_url, monkeypatch):
    import boto3
    import requests
    from s3fs import S3FileSystem

    requests.post(f"{moto_url}/moto-api/reset", timeout=10)
    client = boto3.client(
        "s3",
        endpoint_url=moto_url,
        region_name="us-east-1",
        aws_access_key_id="admin",
        aws_secret_access_key="admin",
    )
    client.create_bucket(Bucket=BUCKET)
    with FaultProxy(moto_url) as proxy:
        made = Storage(proxy, client)
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        yield made
        S3FileSystem.clear_instance_cache()


@pytest.fixture
def place(tmp_path, project, storage):
    return Place(tmp_path / "home", project, storage.environment)


@pytest.fixture(scope="session")
def run_on_a_disk(tmp_path_factory, project):
    """What a run answers whose store is a folder."""
    return Place(tmp_path_factory.mktemp("local") / "home", project).headrace(
        "run", "blobs"
    )
