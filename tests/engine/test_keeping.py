"""What is kept: by a backup that is restored, and by the volumes of what was ended."""

import pytest
from tests.engine.service import block_of

pytestmark = pytest.mark.timeout(1200)


def test_a_backup_is_restored_by_the_guide(service, promoted):
    service.shell(block_of("maintenance.md", "pg_dumpall"))
    said = service.shell(block_of("maintenance.md", "restored"))
    assert "everything fits the ledger" in said


def test_what_is_kept_outlives_an_end_by_the_guide(service, promoted):
    before = service.headrace("history", "digits")
    service.shell(block_of("compose.md", "'*' down"))
    docker = service.engine.docker
    assert docker("ps", "--all", "--quiet") == ""
    assert docker("network", "ls", "--quiet", "--filter", "type=custom") == ""
    volumes = docker("volume", "ls", "--quiet").split()
    kept = {"objects", "postgres", "prefect", "requests"}
    assert set(volumes) == {f"headrace_{name}" for name in kept}
    service.compose("up", "--wait")
    assert service.headrace("verify")["status"] == "ok"
    assert service.headrace("history", "digits") == before
