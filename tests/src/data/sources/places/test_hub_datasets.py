"""Data sets of the Hub: read at one commit, by what the files are."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.extras import needs_hub
from tests.hub import COMMIT, TOKEN, Repository, enter, running

from headrace.data.sources.identity import source_identity
from headrace.data.sources.opening import open_source
from headrace.errors import NotFoundError, UsageError
from headrace.media.chunks import Reading
from headrace.settings import Settings

pytestmark = needs_hub
PLACE = "hf://datasets/a/topics"
NEXT = "d" * 40


def parquet(split, count):
    """Rows as the Hub's own converter writes them."""
    features = '{"info": {"features": {"label": {"names": ["no", "yes"], '
    features += (
        '"_type": "ClassLabel"}, "text": {"dtype": "string", "_type": "Value"}}}}'
    )
    table = pa.table(
        {
            "text": [f"{split} row {row} says {row % 2}" for row in range(count)],
            "label": [row % 2 for row in range(count)],
        }
    )
    file = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({"huggingface": features}), file)
    return file.getvalue()


@pytest.fixture
def server(tmp_path, monkeypatch):
    folder = tmp_path / "topics"
    (folder / "data").mkdir(parents=True)
    for split, count in (("train", 40), ("test", 10)):
        file = folder / "data" / f"{split}-00000-of-00001.parquet"
        file.write_bytes(parquet(split, count))
    lines = [f"word {row},{'ab'[row % 2]}" for row in range(20)]
    (folder / "rows.csv").write_text("\n".join(["text,label", *lines]))
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# Topics\n")
    (folder / ".gitattributes").write_text("*.parquet filter=lfs\n")
    with running(tmp_path / "created") as server:
        server.repositories["datasets/a/topics"] = Repository(folder)
        enter(server, monkeypatch)
        yield server


@pytest.fixture
def settings(tmp_path):
    return Settings(project=tmp_path, home=tmp_path / "home")


def rows(uri, settings):
    source = open_source(uri, settings, Reading(medium="text"))
    with source.files:
        return source, sum(len(chunk.labels) for chunk in source.chunks)


@pytest.mark.parametrize(
    ("below", "count"),
    [("/data", 50), ("/data/test-00000-of-00001.parquet", 10), ("/rows.csv", 20)],
)
def test_a_folder_or_a_file_is_read_at_one_commit(server, settings, below, count):
    source, found = rows(f"{PLACE}{below}", settings)
    assert found == count
    assert source.uri == f"{PLACE}@{COMMIT}{below}"
    assert server.downloads()
    assert all(f"/resolve/{COMMIT}/" in path for path in server.downloads())


def test_its_identity_is_the_commit_and_reads_nothing(server, settings):
    before = source_identity(f"{PLACE}/data", settings)
    assert source_identity(f"{PLACE}@{COMMIT}/data", settings) == before
    assert len(server.asked) == 1
    server.repositories["datasets/a/topics"].revisions["main"] = NEXT
    assert source_identity(f"{PLACE}/data", settings) != before
    assert not server.downloads()


def test_a_token_is_in_no_message_and_not_in_the_source(server, settings, monkeypatch):
    server.repositories["datasets/a/topics"].private = True
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    source, found = rows(f"{PLACE}/rows.csv", settings)
    assert found == 20
    assert server.tokens == {TOKEN}
    assert TOKEN not in repr(source)
    with pytest.raises(NotFoundError, match="There is no data at") as missing:
        rows(f"{PLACE}/other.csv", settings)
    assert f"{PLACE}@{COMMIT}/other.csv" in str(missing.value)
    assert TOKEN not in f"{missing.value} {missing.value.action}"


def test_a_gated_data_set_is_no_damaged_one(server, settings, monkeypatch):
    server.repositories["datasets/a/topics"].gated = True
    with pytest.raises(UsageError, match="cannot be read: GatedRepoError") as refused:
        rows(f"{PLACE}/rows.csv", settings)
    assert "set HF_TOKEN" in refused.value.action
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert rows(f"{PLACE}/rows.csv", settings)[1] == 20
