"""The report of a run: its tables, and what it says against a champion."""

import html
import math
import re
from types import SimpleNamespace

import pytest

from headrace.display.pages import render
from headrace.evidence.metrics import interval_lines, metric_rows
from headrace.evidence.reporting import Picture, describe
from headrace.records import (
    CandidateRecord,
    ChoiceRecord,
    Finding,
    PromotionRecord,
    StageReport,
)
from headrace.state.tracking import Tracking
from headrace.tasks import task
from headrace.use.comparison import Differing, ModelComparison

pytestmark = pytest.mark.system

LINKS = {"mlflow": "http://127.0.0.1:5000/#/x"}


def outcome(trained):
    """The end of a run whose reason holds what a page must escape."""
    from headrace.stages.evaluation import evaluate

    place = (trained.snapshot, trained.contract)
    judged = evaluate(trained.spec, *place, trained.weak, None, trained.home)
    return SimpleNamespace(
        spec=trained.spec,
        folder=trained.folder,
        reports=[StageReport(name="train", state="completed", why="a|b", seconds=1.5)],
        snapshot=trained.snapshot,
        contract=trained.contract,
        training=trained.weak,
        evaluation=judged,
        promotion=PromotionRecord(
            status="refused", reason="<script>alert(1)</script> & more"
        ),
        version=2,
        overrides=("gates",),
        choice=None,
    )


COMPARED = ModelComparison(
    model="blobs",
    versions=(1, 2),
    differences=(Differing(kind="spec", name="training.<b>", values=("1", "2")),),
    metrics={"test_accuracy": (0.125, 0.5)},
    failed_gates=((), ()),
)


def test_a_report_has_verdict_tables_pictures_changes_and_recipe(trained):
    shown = describe(outcome(trained), LINKS, COMPARED, Tracking(trained.settings))

    page = render("report.html", **shown)

    text = html.unescape(re.sub(r"<[^>]*>", " ", page))
    assert "<script" not in page
    assert "<script>alert(1)</script> & more" in html.unescape(page)
    assert "An experiment: it overrides gates." in text
    assert "Against the champion, version 1." in text
    assert "training.<b>" in html.unescape(page)
    assert "training.<b>" not in page
    assert re.search(
        r"accuracy\s+Share of test items with the right label; [^.]*\.\s+"
        r"0\.\d+\s+0\.\d+ to 0\.\d+\s+0\.125",
        text,
    )
    for shown in (
        "The contract found no personal data of the kinds that it knows.",
        "Membership inference was not measured",
        "The training was not differentially private.",
        "expectations,",
        trained.snapshot.digest,
        trained.weak.weights_digest,
    ):
        assert shown in text
    for shown in ("By class", "Most confident mistakes, as a table", "training.epochs"):
        assert shown in text
    assert re.search(r"\d [<>]= \d", text), "a gate's value, sign and bound"
    assert "The bound of p is a" in text
    chosen, every = text.partition("differ from the defaults.")[2].split("fields", 1)
    assert "training.epochs" in chosen
    assert "training.weight_decay" not in chosen
    assert "training.weight_decay" in every
    drawn = r'<figure id="picture-(\w+)"[^>]*>\s*<div class="scroll"><img src="data:'
    assert re.findall(drawn, page) == [
        "confusion",
        "calibration",
        "curves",
        "mistakes",
    ]
    assert '<figure class="listed"><figcaption>Most confident mistakes' in page
    assert not re.search(r"src=\"(?!data:)|<link|url\(", page)


def test_the_contents_list_has_all_parts_in_their_order(trained):
    shown = describe(outcome(trained), LINKS, COMPARED, Tracking(trained.settings))

    page = render("report.html", **shown)

    linked = re.findall(r'<li><a href="#([\w-]+)">', page)
    first = ["verdict", "pictures", "gates", "metrics", "changes", "by-class"]
    assert linked[:6] == first
    assert linked[-5:] == ["data", "contract", "lineage", "recipe", "about"]
    places = [page.index(f'id="{name}"') for name in linked]
    assert places == sorted(places)
    named = re.findall(r'\bid="([\w-]+)"', page)
    assert len(named) == len({*named})
    assert set(re.findall(r'href="#([\w-]+)"', page)) <= {*named}
    assert page.count("<h2>") == len(linked)


def test_the_verdict_shows_the_main_metric_beside_the_champions(trained):
    shown = describe(outcome(trained), LINKS, COMPARED, Tracking(trained.settings))

    head = render("report.html", **shown).partition('id="pictures"')[0]

    assert re.findall(r"<strong>([\d.]+)</strong>", head)[1:] == ["0.1250"]
    text = re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", head)))
    assert "accuracy of 60 test rows; higher is better" in text
    assert re.search(
        r"version 2 0\.\d+ 0\.\d+ to 0\.\d+ champion, version 1 0.1250", text
    )
    assert "gates passed" in text and "failed:" in text


def test_internal_metrics_are_folded_and_each_has_a_sentence(trained):
    shown = describe(outcome(trained), LINKS, None, Tracking(trained.settings))

    part = render("report.html", **shown).partition('id="metrics"')[2]
    first, inner = part.partition('id="changes"')[0].split("internal metrics</summary>")

    named = r"<summary>([\w ]+)</summary>[^<]+\.</details>"
    assert re.findall(named, first)[:3] == [
        "accuracy",
        "log loss",
        "calibration error",
    ]
    assert {"non finite values", "serving difference"} <= {*re.findall(named, inner)}
    assert len(re.findall(named, first + inner)) == len(shown["metrics"])


def test_a_metric_that_is_no_number_has_no_place_on_a_line():
    own, champion = {"test_accuracy": math.nan}, {"test_accuracy": 0.5}

    row = metric_rows(own, champion, task("classification"))["test_accuracy"]

    assert interval_lines(row) == []
    assert row["champion"] == 0.5


def test_the_ends_of_both_intervals_are_on_the_line():
    own = {"test_accuracy": 0.9, "test_accuracy_low": 0.8, "test_accuracy_high": 0.95}
    champion = {"test_accuracy": 0.5}

    row = metric_rows(own, champion, task("classification"))["test_accuracy"]
    (low, value, high), second = interval_lines(row)

    assert second[0] == second[1] == second[2]
    assert 0 < second[1] < low < value < high < 100


def test_without_a_champion_it_says_so(trained):
    shown = describe(outcome(trained), LINKS, None, Tracking(trained.settings))

    page = render("report.html", **shown)

    assert "There was no other champion to compare with." in page
    assert "There is no other champion to compare with." in page


def test_a_champion_whose_figures_are_not_at_hand_is_named(trained):
    ended = outcome(trained)
    ended.evaluation = ended.evaluation.model_copy(update={"champion_version": 1})

    page = render(
        "report.html", **describe(ended, LINKS, None, Tracking(trained.settings))
    )

    assert "The figure of the champion, version 1, is not at hand." in page


def test_a_run_without_pictures_in_mlflow_has_a_report_without_them(trained, caplog):
    ended = outcome(trained)
    ended.training = trained.weak.model_copy(update={"run_id": "0" * 32})

    page = render(
        "report.html", **describe(ended, LINKS, None, Tracking(trained.settings))
    )

    assert "the report has not all of its pictures" in caplog.text
    assert "<figure" not in page
    assert 'id="metrics"' in page


def test_what_is_no_png_is_not_shown_as_one():
    assert Picture.of("curves", "Curves", b"\x89PNG\r\n\x1a\n") is None
    assert Picture.of("curves", "Curves", b"<svg onload='alert(1)'>" * 3) is None


def test_a_report_tells_of_changed_items_without_rungs(trained):
    shown = describe(outcome(trained), LINKS, COMPARED, Tracking(trained.settings))
    rung = {"rung": "noise 25", "rows": 60.0, "accuracy": 0.9}

    page = render("report.html", **{**shown, "slices": {"rung": [rung]}})

    assert re.search(
        r"<h2>After changes to the items</h2>.*<th>change</th>", page, re.S
    )
    assert "rungs" not in page
    assert "By rung" not in page


def test_the_same_report_as_markdown_escapes_what_it_shows(trained):
    shown = describe(outcome(trained), LINKS, COMPARED, Tracking(trained.settings))

    text = render("report.md", **shown)

    assert text.startswith("# blobs, version 2\n\n**refused**: \\<script\\>alert(1)")
    assert re.search(
        r"\n\naccuracy \*\*0\.\d+\*\* \(0\.\d+ to 0\.\d+\); the champion, version 1: "
        r"0\.1250\.\n\n",
        text,
    )
    assert "serving difference" not in text
    assert "\n[mlflow](<http://127.0.0.1:5000/#/x>)\n" in text
    assert "## Changed since version 1, the champion" in text
    assert "- spec training.\\<b\\>: 1 → 2\n" in text
    assert "\n| train | completed | 1.5 | a\\|b |\n" in text
    assert "data:image" not in text
    assert "\n\n\n\n" not in text


def test_the_markdown_holds_numbers_and_no_item_group_or_name(trained):
    shown = describe(outcome(trained), LINKS, COMPARED, Tracking(trained.settings))
    finding = Finding(check="near", split="test", count=7, message="anna.png: hello")
    quoted = {"slices": {"group": [{"group": "anna", "rows": 7}]}}
    quoted["pictures"] = [("mistakes", "Mistakes", "data:image/png;base64,AA")]

    text = render("report.md", **{**shown, **quoted, "findings": [finding]})

    assert "| near | test | 7 |" in text
    assert "`report.html`" in text
    served = {**LINKS, "report": "http://127.0.0.1:5000/reports/0"}
    linked = render("report.md", **{**shown, **quoted, "links": served})
    assert f"\n**[The whole report](<{served['report']}>)**, with" in linked
    assert "`report.html`" not in linked
    assert not re.search("anna|hello|data:image|Mistakes", text)


def test_a_report_shows_the_models_that_were_compared(trained):
    facts = {"score": "accuracy", "epochs": 50, "megabytes": 1.5, "run_id": "r"}
    candidates = (
        CandidateRecord(builder="pretrained", val_loss=0.31, val_score=0.95, **facts),
        CandidateRecord(builder="cnn", val_loss=1.9, val_score=0.41, **facts),
    )
    chosen = outcome(trained)
    chosen.choice = ChoiceRecord(kept="pretrained", run_id="r", candidates=candidates)
    assert str(chosen.choice) == (
        "pretrained val loss 0.3100, accuracy 0.9500; cnn val loss 1.9000, accuracy "
        "0.4100: pretrained is kept"
    )
    shown = describe(chosen, LINKS, COMPARED, Tracking(trained.settings))
    text = re.sub(r"<[^>]*>", " ", render("report.html", **shown))
    assert "Models to choose from" in text
    assert re.search(r"pretrained +0\.3100 +0\.9500 +50 +1\.5000 +yes", text)
    assert re.search(r"cnn +1\.9000 +0\.4100 +50 +1\.5000 +no", text)
    row = "| cnn | 1.9000 | 0.4100 | 50 | 1.5000 | no |"
    assert row in render("report.md", **shown)


def test_a_run_that_was_refused_early_has_a_report_of_what_there_is(trained):
    failed = StageReport(name="validate", state="failed", why="7 | 9", seconds=0)
    missing = ("contract", "training", "evaluation", "promotion", "version", "choice")
    begun = SimpleNamespace(
        spec=trained.spec,
        folder=None,
        reports=[failed],
        snapshot=trained.snapshot,
        overrides=(),
        **dict.fromkeys(missing),
    )

    text = render("report.md", **describe(begun, {}, None, Tracking(trained.settings)))

    assert "**validate failed**: 7 \\| 9" in text
    assert "## Gates" not in text
    assert f"snapshot `{trained.snapshot.digest}`" in text
