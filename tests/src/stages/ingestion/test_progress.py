"""A long ingestion is heard of."""

from tests.src.stages.ingestion.conftest import write_npz

from headrace.display import progress


def test_a_long_ingestion_says_how_far_it_is(run, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN", 0)
    with caplog.at_level("INFO", "headrace"):
        run(write_npz(tmp_path / "a.npz"))
    said = [record.getMessage().rpartition(": ")[2] for record in caplog.records]
    assert said == ["100 items decoded", "120 items decoded", "1 of 1 shards written"]
    caplog.clear()
    monkeypatch.setattr(progress, "SECONDS_BETWEEN", 5)
    run(write_npz(tmp_path / "a.npz"))
    assert caplog.records == []
