"""The page to try a model: its files, which a browser gets as they are."""

from __future__ import annotations

from pathlib import Path

from headrace.serving.app import App, Handler, Request
from headrace.serving.replies import NO_SNIFF, Reply

FOLDER = Path(__file__).with_name("page")
# A page loads nothing of another server, and nothing leaves this one.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
}
_INDEX = "index.html"


def add_page(app: App, folder: Path = FOLDER) -> None:
    """Let an application answer with the page's files: ``/`` and ``/page/NAME``."""
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file.suffix in _TYPES:
            answer, name = _file(file), file.relative_to(folder).as_posix()
            paths = [f"/page/{name}", *(["/"] if name == _INDEX else [])]
            for path in paths:
                app.add(path, answer, is_open=True)


def _file(file: Path) -> Handler:
    headers = [
        (b"content-type", _TYPES[file.suffix].encode()),
        (b"content-security-policy", POLICY.encode()),
        (b"permissions-policy", b"microphone=(self)"),
        (b"referrer-policy", b"no-referrer"),
        (b"cache-control", b"no-cache"),
        NO_SNIFF,
    ]
    reply = Reply(200, headers, file.read_bytes())

    async def answer(request: Request) -> Reply:
        return reply

    return answer
