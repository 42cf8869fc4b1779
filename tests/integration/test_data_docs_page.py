"""The index of the Data Docs in a real browser: narrowed without a script."""

import pytest
from tests.attacks.chromium import chromium
from tests.src.stages.validation.test_docs import publish_some

pytestmark = pytest.mark.integration
CHOOSE = "document.getElementById(%r).selected = true"
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
