"""The documentation's search in a real browser, from a disk: excerpts, and an order."""

import subprocess
import sys

import pytest
from tests.attacks.chromium import chromium
from tests.repo.docs_blocks import ROOT

pytestmark = pytest.mark.integration
PAGES = {
    "index": "# Start\n\n```{toctree}\nreference/changelog\nguide\n```\n",
    "reference/changelog": "# Changelog\n\n## Weirs\n\nWeirs are higher.\n",
    "guide": "# Guide\n\nFirst a pond.\n\n## Gates\n\nA weir keeps `<all>` water.\n",
}
CONF = f"""
import sys
sys.path.insert(0, {str(ROOT / "docs" / "_extensions")!r})
extensions = ["myst_parser", "offline_search"]
html_theme = "furo"
html_search_scorer = {str(ROOT / "docs" / "_extensions" / "search.js")!r}
"""
FOUND = (
    "[...document.querySelectorAll('#search-results li')].map(one =>"
    "['a', 'p'].map(tag => one.querySelector(tag)?.innerText.trim()))"
)


@pytest.fixture
def site(tmp_path):
    source = tmp_path / "source"
    for name, text in {f"{n}.md": t for n, t in PAGES.items()}.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text, encoding="utf-8")
    (source / "conf.py").write_text(CONF, encoding="utf-8")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", source, tmp_path / "site"]
    subprocess.run(command, check=True)
    return tmp_path / "site"


def found(browser, site, words):
    """The results of a search: the titles with their excerpts."""
    browser.open(f"{(site / 'search.html').as_uri()}?q={words}")
    browser.until(
        "/finished/.test(document.querySelector('.search-summary')?.innerText)"
    )
    browser.until(f"{FOUND}.every(([title, excerpt]) => excerpt)")
    return browser.run(FOUND)


def test_results_have_excerpts_and_the_changelog_is_last(site, tmp_path):
    with chromium(tmp_path / "browser") as browser:
        results = found(browser, site, "weir")
        assert results[0] == [
            "Guide",
            "Guide First a pond. Gates A weir keeps <all> water.",
        ]
        titles = [title for title, _ in results]
        assert titles[:2] == ["Guide", "Start"]
        assert all(title.startswith("Changelog") for title in titles[2:])
        assert len(titles) > 2
        section = ["Guide > Gates", "Gates A weir keeps <all> water."]
        assert section in found(browser, site, "gates")
        assert found(browser, site, "changelog")[0][0] == "Changelog"
