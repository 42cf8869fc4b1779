"""The pages of the checks: one folder for equal outcomes, small and linked."""

from __future__ import annotations

from pathlib import Path

from tests.src.stages.validation.conftest import Check, Data, expectation


def test_equal_outcomes_share_their_pages(check: Check, tmp_path: Path) -> None:
    first, again = check(Data()), check(Data())
    other = check(Data(), expectation("column_to_exist", column="mean"))

    assert first.docs_uri == again.docs_uri != other.docs_uri
    assert len(list((tmp_path / "data_docs").iterdir())) == 2


def test_pages_are_small_linked_and_name_the_blamed_rows(check: Check) -> None:
    data = Data()
    data.pixels[7] = 0

    page = Path(check(data).docs_uri)

    files = [path for path in page.parent.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 500_000
    (items,) = (page.parent / "validations" / "items").rglob("*.html")
    assert f'href="{items.relative_to(page.parent).as_posix()}"' in page.read_text()
    assert "7.png" in items.read_text()
