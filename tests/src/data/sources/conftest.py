"""Small sources, good and bad, made on the spot; and a server that gives them."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import struct
import tarfile
import threading
import time
import zipfile
from dataclasses import dataclass, field, fields

import numpy as np
import pytest
from PIL import Image

from headrace.data.sources.catalog import named as catalog
from headrace.data.sources.catalog.named import CatalogEntry, Pin
from headrace.data.sources.opening import open_source
from headrace.errors import DependencyError
from headrace.media.chunks import Reading, Source
from headrace.settings import Settings

GOOD = b"ham\tyes\n"


class Make:
    """Writes files below one folder."""

    def __init__(self, folder):
        self.folder = folder
        self.images = np.random.default_rng(1).integers(0, 256, (6, 4, 3), np.uint8)
        self.labels = np.array([0, 1, 2, 0, 1, 2], np.uint8)

    def file(self, name, data):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def npz(self, name="data.npz", **arrays):
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        return self.file(name, buffer.getvalue())

    def npy(self, header, data, name="x.npy"):
        """An npz whose one member says `header` and holds `data`, beside two labels."""
        buffer, labels = io.BytesIO(), io.BytesIO()
        np.save(labels, np.array([0, 1]))
        np.lib.format.write_array_header_1_0(buffer, header)
        members = {name: buffer.getvalue() + data, "y.npy": labels.getvalue()}
        return self.zip(members, "data.npz")

    def idx(self, name, array, *, data=None):
        """An IDX file of bytes; gzip where its name says so."""
        body = array.astype(np.uint8).tobytes() if data is None else data
        header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
        whole = header + body
        return self.file(name, gzip.compress(whole) if name.endswith(".gz") else whole)

    def mnist(self, folder="mnist", *, suffix=""):
        """The four IDX files: 4 train rows and 2 test rows."""
        for split, rows in (("train", slice(0, 4)), ("t10k", slice(4, 6))):
            self.idx(f"{folder}/{split}-images-idx3-ubyte{suffix}", self.images[rows])
            self.idx(f"{folder}/{split}-labels-idx1-ubyte{suffix}", self.labels[rows])
        return self.folder / folder

    def png(self, array):
        buffer = io.BytesIO()
        Image.fromarray(array).save(buffer, "PNG")
        return buffer.getvalue()

    def members(self, prefix=""):
        return {
            f"{prefix}{label}/{row}.png": self.png(image)
            for row, (image, label) in enumerate(
                zip(self.images, self.labels, strict=True)
            )
        }

    def tree(self, members, folder="images"):
        for name, data in members.items():
            self.file(f"{folder}/{name}", data)
        return self.folder / folder

    def zip(self, members, name="data.zip"):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for member, data in members.items():
                archive.writestr(member, data)
        return self.file(name, buffer.getvalue())

    def tar(self, members, mode="w", name="data.tar"):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode=mode) as archive:
            for member, data in members.items():
                info = member
                if isinstance(member, str):
                    info = tarfile.TarInfo(member)
                    info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        return self.file(name, buffer.getvalue())


@pytest.fixture
def make(tmp_path):
    return Make(tmp_path)


@pytest.fixture
def settings(tmp_path):
    return Settings(project=tmp_path)


@pytest.fixture
def read(settings):
    """Opens a source and reads all of it."""

    def _read(uri, **options):
        known = {field.name for field in fields(Reading)}
        reading = Reading(**{key: options[key] for key in options if key in known})
        limits = {key: options[key] for key in options if key not in known}
        bounded = settings.model_copy(update=limits)
        with open_source(str(uri), bounded, reading) as source:
            return source, list(source.chunks)

    return _read


def sha(data):
    return hashlib.sha256(data).hexdigest()


def zipped(members, method=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


@dataclass
class Reply:
    data: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0


class Upstream:
    """A server that stands in for where data comes from."""

    def __init__(self):
        self.replies = {}
        self.asked = []
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                owner.asked.append(self.path)
                reply = owner.replies.get(self.path, Reply(b"", 404))
                time.sleep(reply.delay)
                self.send_response(reply.status)
                length = {"Content-Length": str(len(reply.data))}
                for name, value in (length | reply.headers).items():
                    if value:
                        self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply.data)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def give(self, path, data, **facts):
        self.replies[path] = Reply(data, **facts)
        return self.url + path

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    running = Upstream()
    yield running
    running.stop()


@pytest.fixture
def copies(tmp_path, settings):
    """Settings whose HEADRACE_DATA is a folder without anything in it."""
    (tmp_path / "copies").mkdir()
    return settings.model_copy(update={"data": tmp_path / "copies"})


def pin(data, url=""):
    return Pin(sha256=sha(data), url=url)


def entry(files, table=""):
    """An entry of the catalog."""
    return CatalogEntry(
        name="letters",
        title="Letters",
        medium="text",
        licence="CC0",
        attribution="Letters by A. Nobody, CC0.",
        homepage="https://example.org",
        files=files,
        table=table,
    )


def opened(one, settings):
    """The source, and its file, or what is made of its files."""
    source = Source(kind="", uri=one.uri)
    with source, pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalog, "find_entry", lambda uri: one)
        return source, catalog.open_entry(source, settings)


def give_mnist(monkeypatch, data, url=""):
    """Have ``keras:mnist`` be other bytes, from another place."""
    real = catalog.entries()["mnist"]
    other = real.model_copy(update={"files": {"mnist.npz": pin(data, url)}})
    known = {**catalog.entries(), "mnist": other}
    monkeypatch.setattr(catalog, "entries", lambda: known)


def kept(settings):
    return sorted(path.name for path in (settings.home / "data").rglob("*.*"))


def failure(one, settings):
    with pytest.raises(DependencyError, match=r"catalog:letters: no copy of") as seen:
        opened(one, settings)
    assert seen.value.exit_code == 3
    assert kept(settings) == []
    return str(seen.value)
