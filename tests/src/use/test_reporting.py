"""The report of a run: its tables, and what it says against a champion."""

from __future__ import annotations

import html
import re
from typing import Any

from headrace.records import PromotionRecord
from headrace.state.tracking import Tracking
from headrace.use.comparison import Comparison, Differing
from headrace.use.reporting import Outcome, report


def outcome(trained: Any) -> Outcome:
    """The end of a run whose reason holds what a page must escape."""
    from headrace.stages.evaluation import evaluate

    place = (trained.snapshot, trained.contract)
    judged = evaluate(trained.spec, *place, trained.weak, None, trained.settings)
    return Outcome(
        trained.spec,
        trained.snapshot,
        trained.contract,
        trained.weak,
        judged,
        PromotionRecord(status="refused", reason="<script>alert(1)</script> & more"),
        2,
        ("gates",),
        {"mlflow": "http://127.0.0.1:5000/#/x"},
    )


def test_a_report_has_verdict_tables_pictures_changes_and_recipe(trained: Any) -> None:
    compared = Comparison(
        model="blobs",
        versions=(1, 2),
        differences=(Differing(kind="spec", name="training.<b>", values=("1", "2")),),
        metrics={"test_accuracy": (0.125, 0.5)},
        failed_gates=((), ()),
    )
    run = outcome(trained)

    page = report(run, compared, Tracking(trained.settings))

    text = html.unescape(re.sub(r"<[^>]*>", " ", page))
    assert "<script" not in page
    assert "<script>alert(1)</script> & more" in html.unescape(page)
    assert "An experiment: it overrides gates." in text
    assert "Against the champion, version 1." in text
    assert "training.<b>" in html.unescape(page)
    assert "training.<b>" not in page
    assert re.search(r"accuracy\s+0\.\d+\s+0\.\d+ to 0\.\d+\s+0\.125", text)
    for shown in ("By class", "The worst answers, as a table", "training.epochs"):
        assert shown in text
    assert page.count('<figure><img src="data:image/png;base64,') == 4
    assert not re.search(r"src=\"(?!data:)|<link|url\(", page)


def test_without_a_champion_it_says_so(trained: Any) -> None:
    page = report(outcome(trained), None, Tracking(trained.settings))

    assert "There was no other champion to compare with." in page
