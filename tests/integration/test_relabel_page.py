"""The page of a review in a real browser: keys decide, and the file is saved."""

import csv
import io

import pytest
from tests.attacks.chromium import chromium
from tests.src.use.relabeling.test_review import apply, reviewed, suspicious

__all__ = ["suspicious"]
pytestmark = pytest.mark.integration
KEY = (
    "document.body.dispatchEvent("
    "new KeyboardEvent('keydown', {key: '%s', bubbles: true}))"
)


def test_keys_decide_and_the_saved_file_is_applied(suspicious, tmp_path):
    listed = reviewed(suspicious, tmp_path / "list.csv", "accept", "keep", "skip")
    page = tmp_path / "list.html"
    answer = suspicious.headrace(
        "relabel", "blobs", "--page", "--output", str(page), "--json"
    )
    assert answer.exit_code == 0, answer.err
    with chromium(tmp_path / "browser") as browser:
        browser.open(page.as_uri())
        for key in "aks":
            browser.run(KEY % key)
        assert browser.run("document.getElementById('count').textContent") == (
            "3 of 3 decided"
        )
        browser.run("URL.createObjectURL = (blob) => ((window.saved = blob), '#')")
        browser.run("document.getElementById('save').click()")
        text = browser.run("window.saved.text()")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["decision"] for row in rows] == ["accept", "keep", "skip"]
    expected = list(csv.DictReader(listed.open()))
    assert [r["item"] for r in rows] == [r["item"] for r in expected]
    file = tmp_path / "saved.csv"
    file.write_text(text)
    assert apply(suspicious, file).json["corrected"] == 1
