"""The options of a server.

The help of the command line needs them, so this imports nothing that takes time.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Options(NamedTuple):
    """What to serve, where, and what watches it.

    Attributes:
        models: see `headrace.serving.listing.WantedVersion.parse`.
        host: others than this machine reach it with a token and TLS only.
        port: 0: any that is free.
        token_file: has the token that requests must send.
        tls_cert, tls_key: of the server, PEM.
        shadow: ``MODEL/VERSION`` that answers copies of requests; empty: none.
        log_inputs: whether the log has the items, too.
    """

    models: Sequence[str]
    host: str = "127.0.0.1"
    port: int = 8080
    token_file: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    shadow: str = ""
    log_inputs: bool = False
