"""MLflow's server does what it is asked, and the answer is lost: nothing is twice."""

import subprocess
import sys
import time

import pytest
import requests
from tests.faults.proxy import FaultProxy, never
from tests.faults.storage import BUCKET

from headrace.errors import DependencyError, IntegrityError
from headrace.records import DataDescription
from headrace.state.tracking import Tracking

pytestmark = pytest.mark.integration

START_SECONDS = 120


@pytest.fixture
def server(storage, tmp_path, mlflow_database, monkeypatch):
    """An MLflow server whose artifacts are in object storage, behind a proxy."""
    from headrace_ops.live import free_port

    (tmp_path / "mlflow.db").write_bytes(mlflow_database.read_bytes())
    address = ("127.0.0.1", free_port())
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "mlflow", "server", "--workers", "1"),
            *("--host", address[0], "--port", str(address[1])),
            *("--backend-store-uri", f"sqlite:///{tmp_path}/mlflow.db"),
            *("--artifacts-destination", f"s3://{BUCKET}/mlflow"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=tmp_path,
    )
    url = f"http://{address[0]}:{address[1]}"
    limit = time.monotonic() + START_SECONDS
    while time.monotonic() < limit:
        try:
            requests.get(f"{url}/health", timeout=5)
            break
        except requests.ConnectionError:
            time.sleep(0.2)
    with FaultProxy(url) as proxy:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", proxy.url)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
        yield proxy
    process.terminate()
    process.wait(30)


def test_runs_and_versions_are_made_once(server, storage, settings):
    import keras

    tracking = Tracking(settings)
    broken = set()

    def lose_each_first(path):
        kind = path.partition("?")[0]
        makes = kind.endswith(("runs/create", "model-versions/create"))
        if not makes or kind in broken:
            return ""
        broken.add(kind)
        return "lost"

    server.plan = lambda request: lose_each_first(request.path)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    data = DataDescription(medium="image", shape=(2,), classes=("a", "b", "c"))
    with tracking.run("blobs", "one", {"a": "b"}) as (run_id, experiment_id):
        (settings.home / "file.txt").write_text("hello")
        tracking.log_files(run_id, settings.home, "files")
        logged = tracking.log_model(model, data, "model", {}, 1)
        uri, digest = logged["model_uri"], logged["model_digest"]
    made = [tracking.create_version("blobs", uri, run_id, {}, "card") for _ in (1, 2)]
    assert len(broken) == 2
    assert made == [1, 1]
    assert len(tracking.client.search_runs([experiment_id])) == 1
    assert len(tracking.client.search_model_versions("name='blobs'")) == 1

    server.plan = lambda r: "busy" if r.number % 3 == 0 else ""
    assert tracking.run_file(run_id, "files/file.txt") == b"hello"
    with tracking.model_file(uri, digest) as file:
        assert file.stat().st_size

    server.plan = never
    with pytest.raises(IntegrityError, match="gone"):
        tracking.run_file(run_id, "files/none.txt")
    key = next(key for key in storage.keys() if key.endswith("model.keras"))
    storage.client.delete_object(Bucket=BUCKET, Key=key)
    with (
        pytest.raises(IntegrityError, match="no longer"),
        tracking.model_file(uri, digest),
    ):
        pass
    server.plan = lambda request: "busy"
    with pytest.raises(DependencyError) as caught:
        tracking.run_file(run_id, "files/file.txt")
    assert caught.value.was_retried
