"""A backbone is downloaded from a hub: what may be taken, and of one commit."""

import hashlib
import http.server
import json
import subprocess
import sys
import threading

import pytest
from tests.extras import needs_keras_hub
from tests.src.models.backbones.conftest import small_bert  # noqa: F401 (a fixture)

pytestmark = [pytest.mark.system, needs_keras_hub]
COMMIT = "c0ffee" * 6 + "c0ff"


class Hub(http.server.BaseHTTPRequestHandler):
    """As much of Hugging Face as one download asks for."""

    folder = None
    asked = ()

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        self.asked.append(self.path)
        place = self.path.partition("?")[0]
        file = self.folder / place.rpartition("/")[2]
        if place.startswith("/api/models/a/b/tree"):
            files = [
                {"type": "file", "path": p.name, "size": p.stat().st_size, "oid": "0"}
                for p in self.folder.iterdir()
            ]
            self.give(json.dumps(files).encode(), "application/json")
        elif place == "/api/models/a/b":
            names = [{"rfilename": path.name} for path in self.folder.iterdir()]
            about = {"id": "a/b", "modelId": "a/b", "sha": COMMIT, "siblings": names}
            self.give(json.dumps(about).encode(), "application/json")
        elif place.startswith(f"/a/b/resolve/{COMMIT}/") and file.is_file():
            self.give(file.read_bytes(), "application/octet-stream")
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def give(self, data, kind):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def hub(small_bert, tmp_path):  # noqa: F811
    """Its address, and what it was asked for."""
    folder = tmp_path / "repository"
    folder.mkdir()
    for path in small_bert.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    (folder / "pytorch_model.bin").write_bytes(b"never asked for")
    handler = type("Own", (Hub,), {"folder": folder, "asked": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", handler.asked
        server.shutdown()


def add(source, endpoint, tmp_path):
    environment = {
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(tmp_path / "hf"),
        "HEADRACE_HOME": str(tmp_path / "home"),
        "HOME": str(tmp_path),
        "PATH": "",
    }
    words = ["-m", "headrace_cli", "backbone", "add", "small", source, "--json"]
    done = subprocess.run(
        [sys.executable, *words],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, json.loads(done.stdout)


def test_of_a_hub_what_may_be_taken_is_downloaded_of_one_commit(hub, tmp_path):
    endpoint, asked = hub
    code, answer = add("hf://a/b", endpoint, tmp_path)
    assert code == 0, answer
    assert answer["source"] == f"hf://a/b@{COMMIT}"
    assert answer["licence"] == "Apache-2.0"
    assert answer["proved"]
    assert not [path for path in asked if "pytorch_model" in path]
    assert not [path for path in asked if "/a/b" not in path], "it reports home"
    code, answer = add("hf://a/nothing", endpoint, tmp_path)
    assert code == 2
    assert "hf://a/nothing cannot be downloaded: RepositoryNotFound" in answer["reason"]
