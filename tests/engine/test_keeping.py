"""What is kept: by a backup that is restored, and by the volumes of what was ended."""

import pytest
from tests.engine.guide import block_of

pytestmark = pytest.mark.timeout(1200)


def test_a_backup_is_restored_by_the_guide(service, promoted):
    service.shell(block_of("maintenance.md", "pg_dumpall"))
    said = service.shell(block_of("maintenance.md", "restored"))
    assert "everything fits the ledger" in said


def test_what_is_kept_outlives_an_end_by_the_guide(service, promoted):
    before = service.headrace("history", "digits")
    docker = service.engine.docker
    attached = "{{range .Mounts}}{{println .Name}}{{end}}"
    containers = docker("ps", "--all", "--quiet").split()
    volumes = set(docker("inspect", "--format", attached, *containers).split())
    named = {f"headrace_{name}" for name in ("objects", "postgres", "prefect")}
    assert volumes > named  # and scratch, which has no name
    service.shell(block_of("compose.md", "'*' down"))
    assert docker("ps", "--all", "--quiet") == ""
    assert docker("network", "ls", "--quiet", "--filter", "type=custom") == ""
    assert volumes & set(docker("volume", "ls", "--quiet").split()) == named
    service.compose("up", "--wait")
    assert service.headrace("verify")["status"] == "ok"
    assert service.headrace("history", "digits") == before
