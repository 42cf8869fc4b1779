"""The section of a run's page on its explanations, also for what is checked later."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from headrace.evidence.pictured import FOLDER, maps_in
from headrace.explanations.verdict import Verdict, sentences
from headrace.pages import render
from headrace.state.folders import card_key
from headrace.state.home import Home
from headrace.state.ledger import Version
from headrace.state.tracking import REPORT_FILE

_TEMPLATE = "explanations.html"
_BEGIN, _END = "<!-- explanations -->", "<!-- end of explanations -->"


def show_maps(version: Version, verdicts: Mapping[str, Verdict], home: Home) -> None:
    """Put what was found into the page of a version's run, if that has the section."""
    run_id = version.run_id
    page = home.anchored.read(card_key(run_id)) or b""
    head, begin, rest = page.decode().partition(_BEGIN)
    _, end, tail = rest.partition(_END)
    if not (begin and end):
        return
    section = render(
        _TEMPLATE,
        explanations=sentences(verdicts),
        maps=maps_in(home.tracking.run_files(run_id, FOLDER)),
    )
    keep_page(run_id, f"{head}{section.strip()}{tail}", home)


def keep_page(run_id: str, page: str, home: Home) -> None:
    """Keep the HTML page of a run in the store, and log it with the run."""
    home.anchored.write(card_key(run_id), page.encode())
    with tempfile.TemporaryDirectory(prefix="headrace-") as place:
        (Path(place) / REPORT_FILE).write_bytes(page.encode())
        home.tracking.log_files(run_id, Path(place))
