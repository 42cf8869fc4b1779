"""The report of a run in a real browser: its length, its folds, paper and phones."""

import pytest
from tests.attacks.chromium import chromium
from tests.src.evidence.test_reporting import COMPARED, LINKS, outcome

from headrace.display.pages import render
from headrace.evidence.reporting import describe
from headrace.state.tracking import Tracking

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

SCREENS = {"desktop": (1280, 800), "phone": (390, 844)}
TOP = "document.querySelector(%r).getBoundingClientRect().top + scrollY"
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
SEEN = "document.querySelector('#lineage').checkVisibility()"


@pytest.fixture
def page(trained, tmp_path):
    shown = describe(outcome(trained), LINKS, COMPARED, Tracking(trained.settings))
    path = tmp_path / "report.html"
    path.write_text(render("report.html", **shown), encoding="utf-8")
    return path.as_uri()


def resize(browser, width, height):
    browser.call(
        "Emulation.setDeviceMetricsOverride",
        width=width,
        height=height,
        deviceScaleFactor=1,
        mobile=width < 500,
    )


def test_a_report_fits_screens_folds_and_prints(page, tmp_path):
    with chromium(tmp_path / "profile") as browser:
        for width, height in SCREENS.values():
            resize(browser, width, height)
            browser.open(page)
            for first in ("details", "#gates"):
                assert browser.run(TOP % first) <= 4 * height
            assert browser.run(WIDER) <= 0
            browser.run("scrollTo(0, document.documentElement.scrollHeight)")
            top = "document.querySelector('.contents').getBoundingClientRect().top"
            assert 0 <= browser.run(top) <= 20, "the contents list stays"
            assert not browser.run(SEEN)
            browser.run(
                "document.querySelector('.contents [href=\"#lineage\"]').click()"
            )
            browser.until(SEEN)
        browser.open(page)
        assert not browser.run(SEEN)
        browser.call("Emulation.setEmulatedMedia", media="print")
        assert browser.run(SEEN), "paper has what is folded"
