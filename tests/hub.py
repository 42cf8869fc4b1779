"""A stand-in for the Hugging Face Hub, on this machine: as much as is asked of it."""

import base64
import contextlib
import hashlib
import http.server
import json
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "c0ffee" * 6 + "c0ff"
TOKEN = "hf_of_ada_and_of_nobody_else"


@dataclass
class Repository:
    """A repository: its files at one commit.

    Attributes:
        folder: with the files.
        revisions: the commit by branch, tag or commit.
        private: whether it is shown to the holder of `TOKEN` alone.
        gated: whether only the holder gets the content of its files.
    """

    folder: Path
    revisions: dict[str, str] = field(default_factory=lambda: {"main": COMMIT})
    private: bool = False
    gated: bool = False

    def files(self, path=""):
        """All files below a path, by name."""
        names = sorted(p for p in self.folder.rglob("*") if p.is_file())
        found = {p.relative_to(self.folder).as_posix(): p for p in names}
        return {
            n: p for n, p in found.items() if f"{n}/".startswith(path and f"{path}/")
        }


@dataclass
class Hub:
    """The stand-in.

    Attributes:
        folder: of the repositories that are created.
        url: its address.
        repositories: by the API's name, such as ``datasets/a/b``.
        asked: method and path of each request.
        tokens: of all requests.
        failing: whether each answer is a failure of the server.
        commits: message and names of files of what was committed.
    """

    folder: Path
    url: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    failing: bool = False
    commits: list[tuple[str, list[str]]] = field(default_factory=list)

    def downloads(self):
        """What was asked of the content of files."""
        return [path for _, path in self.asked if "/resolve/" in path]


def enter(hub, patch):
    """Have clients of this process ask a stand-in, as nobody."""
    patch.setenv("HF_ENDPOINT", hub.url)
    patch.delenv("HF_TOKEN", raising=False)
    # What the library has read of the environment of another test, and of this machine.
    patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    saved = hub.folder / "token"
    saved.parent.mkdir(parents=True, exist_ok=True)
    saved.write_text("hf_saved_by_another_program")
    patch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(saved))


@contextlib.contextmanager
def running(folder):
    """Start a stand-in; it ends with the block."""
    hub = Hub(folder)
    handler = type("Own", (_Handler,), {"hub": hub})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        hub.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield hub
        finally:
            server.shutdown()


class _Refused(Exception):
    def __init__(self, status, code):
        super().__init__(code)
        self.status, self.code = status, code


class _Handler(http.server.BaseHTTPRequestHandler):
    hub: Hub

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        self._answer(self._get)

    def do_POST(self):
        self._answer(self._post)

    def log_message(self, *arguments):
        pass

    def _answer(self, of_method):
        place = urlsplit(self.path)
        self.hub.asked.append((self.command, self.path))
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        self.hub.tokens |= {token} - {""}
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            if self.hub.failing:
                raise _Refused(500, "")
            data, kind = of_method(place.path, parse_qs(place.query), body)
        except _Refused as refusal:
            self.send_response(refusal.status)
            self.send_header("X-Error-Code", refusal.code)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(_json({"error": refusal.code, "url": self.path})[0])
            return
        self._give(data, kind)

    def _give(self, data, kind):
        span = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        part = data[int(span[1]) : int(span[2]) + 1] if span else data
        self.send_response(206 if span else 200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(part)

    def _holder(self):
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _repository(self, name):
        found = self.hub.repositories.get(name)
        if found is None or (found.private and not self._holder()):
            raise _Refused(404 if self._holder() else 401, "RepoNotFound")
        return found

    def _get(self, path, query, body):
        if found := re.fullmatch(r"/(.+?)/resolve/([^/]+)/(.+)", path):
            name = (
                found[1] if found[1].startswith("datasets/") else f"models/{found[1]}"
            )
            repository = self._at(name, unquote(found[2]))
            if repository.gated and not self._holder():
                raise _Refused(401, "GatedRepo")
            file = repository.folder / unquote(found[3])
            if not file.is_file():
                raise _Refused(404, "EntryNotFound")
            return file.read_bytes(), "application/octet-stream"
        form = (
            r"/api/((?:models|datasets)/[^/]+/[^/]+)"
            r"(?:/(tree|revision)/([^/]+)(?:/(.+))?)?"
        )
        found = re.fullmatch(form, path)
        if found is None:
            raise _Refused(404, "RepoNotFound")
        name, what, revision, below = (unquote(each or "") for each in found.groups())
        repository = self._at(name, revision or "main")
        if what == "tree":
            return _json(_tree(repository, below, query))
        names = [{"rfilename": name} for name in repository.files()]
        identity = name.partition("/")[2]
        return _json(
            {
                "id": identity,
                "modelId": identity,
                "sha": repository.revisions[revision or "main"],
                "private": repository.private,
                "siblings": names,
            }
        )

    def _at(self, name, revision):
        repository = self._repository(name)
        commits = repository.revisions.values()
        repository.revisions.update({commit: commit for commit in [*commits]})
        if revision not in repository.revisions:
            raise _Refused(404, "RevisionNotFound")
        return repository

    def _post(self, path, query, body):
        if path == "/api/validate-yaml":
            return _json({"errors": [], "warnings": []})
        if not self._holder():
            raise _Refused(401, "")
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            if asked["organization"] != "ada":
                raise _Refused(403, "")
            if f"models/{name}" in self.hub.repositories:
                raise _Refused(409, "")
            private = bool(asked.get("private") or asked.get("visibility") == "private")
            folder = self.hub.folder / name
            folder.mkdir(parents=True)
            self.hub.repositories[f"models/{name}"] = Repository(
                folder, private=private
            )
            return _json({"url": f"{self.hub.url}/{name}", "id": name})
        found = re.fullmatch(r"/api/(models/.+?)/(preupload|commit)/main", path)
        repository = self._repository(found[1])
        if found[2] == "preupload":
            return _json(
                {"files": [_mode(f, repository) for f in json.loads(body)["files"]]}
            )
        lines = [json.loads(line) for line in body.splitlines()]
        names = []
        for value in (line["value"] for line in lines if line["key"] == "file"):
            file = repository.folder / value["path"]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(base64.b64decode(value["content"]))
            names.append(value["path"])
        self.hub.commits.append((lines[0]["value"]["summary"], sorted(names)))
        url = f"{self.hub.url}/{found[1].removeprefix('models/')}/commit/{COMMIT}"
        return _json({"commitUrl": url, "commitOid": COMMIT})


def _tree(repository, below, query):
    """The entries below a path: all, or the files and folders right below it."""
    files = repository.files(below)
    if below and not files:
        raise _Refused(404, "EntryNotFound")
    entries = [
        {"type": "file", "path": name, "size": path.stat().st_size, "oid": _oid(path)}
        for name, path in files.items()
    ]
    if query.get("recursive", ["false"])[0].lower() == "true":
        return entries
    start = len(below) + 1 if below else 0
    folders = {n[: n.index("/", start)] for n in files if "/" in n[start:]}
    own = [entry for entry in entries if "/" not in entry["path"][start:]]
    return own + [{"type": "directory", "path": n, "oid": "0"} for n in sorted(folders)]


def _mode(file, repository):
    here = repository.folder / file["path"]
    mode = {"uploadMode": "regular", "shouldIgnore": False, "path": file["path"]}
    return {**mode, "oid": _oid(here)} if here.is_file() else mode


def _oid(path):
    """The digest that git gives a file."""
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _json(value):
    return json.dumps(value).encode(), "application/json"
