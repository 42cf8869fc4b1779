"""The Data Docs in a real browser: narrowed without a script, and read on a phone."""

from pathlib import Path

import pytest
from tests.attacks.chromium import chromium
from tests.src.conftest import write_snapshot
from tests.src.stages.validation.conftest import Data, check
from tests.src.stages.validation.test_docs import publish_some

__all__ = ["check", "write_snapshot"]  # fixtures

pytestmark = pytest.mark.integration
CHOOSE = "document.getElementById(%r).selected = true"
BEYOND = (
    "[...document.querySelectorAll('th, td')]"
    ".filter(one => one.getBoundingClientRect().right > innerWidth)"
    ".map(one => one.innerText)"
)
SHOWN = (
    "[...document.querySelectorAll('tbody tr, .none')]"
    ".filter(one => one.checkVisibility())"
    ".map(one => (one.querySelector('a') || one).textContent)"
)


def test_the_index_shows_the_pages_of_a_pipeline_and_a_verdict(tmp_path):
    page = publish_some(tmp_path, "b&b", "pets", "pets")
    with chromium(tmp_path / "browser") as browser:
        browser.open((page.parent.parent / "index.html").as_uri())
        assert sorted(browser.run(SHOWN)) == ["b&b", "pets", "pets"]
        browser.run(CHOOSE % "of-1")
        assert browser.run(SHOWN) == ["pets", "pets"]
        browser.run(CHOOSE % "refused")
        assert browser.run(SHOWN) == ["pets"]
        browser.run(CHOOSE % "of-0")
        assert browser.run(SHOWN) == ["None of this pipeline has that verdict."]


def test_a_phone_shows_what_is_there(check, tmp_path):
    data = Data()
    data.pixels[7] = 0
    page = Path(check(data).docs_uri)
    with chromium(tmp_path / "browser") as browser:
        browser.call(
            "Emulation.setDeviceMetricsOverride",
            width=390,
            height=844,
            deviceScaleFactor=1,
            mobile=True,
        )
        browser.open(page.as_uri())
        browser.run("document.querySelector('details').open = true")
        assert browser.run(BEYOND) == []
