"""The service of `infra/compose.yaml` in containers, used as the guides say."""

from __future__ import annotations

import json
import re
import secrets
import shutil

from tests.engine.bases import ROOT
from tests.engine.daemon import ask
from tests.engine.guide import block_of
from tests.waiting import until

PARTS = ("infra", "src", "flows", "pipelines", "requirements.lock")
PARTS += ("pyproject.toml", "README.md", "LICENSE")
COMPOSE = ("docker", "compose", "-f", "infra/compose.yaml")
FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
PREFECT, MLFLOW = "http://127.0.0.1:4200", "http://127.0.0.1:5000"
# Root of a container needs no sudo, nor has this machine to have it.
AS_ROOT = 'sudo() { "$@"; }\n'


def copy_repository(place):
    """What git knows of the parts that images and compose are made from."""
    listed = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    said = ask("git", "-C", ROOT, *listed, "--", *PARTS, check=True).stdout
    for name in said.split("\0"):
        if name and (ROOT / name).exists():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, place / name)


class Service:
    """The service on an engine, and its commands.

    Attributes:
        place: a copy of the repository, in which the guides' commands are run.
        secrets: the values of `infra/.env`.
        command: compose with its files, `infra/compose.yaml` and those that go over it.
    """

    def __init__(self, engine, place, over=()):
        self.engine, self.place = engine, place
        self.command = [*COMPOSE, *(word for file in over for word in ("-f", file))]
        copy_repository(place)
        template = (place / "infra" / ".env.example").read_text(encoding="utf-8")
        names = re.findall(r"^(\w+(?:PASSWORD|SECRET))=$", template, re.MULTILINE)
        self.secrets = {name: secrets.token_hex(24) for name in names}

    def shell(self, script, **options):
        """Run a script as one who follows a guide does."""
        command = ("bash", "-euo", "pipefail", "-c", AS_ROOT + script)
        return self.engine.run(*command, cwd=self.place, **options).stdout

    def fill_in(self):
        """Make `infra/.env` by the guide; returns the guide's commands that follow."""
        copied, rest = block_of("compose.md", ".env.example").split("\n", 1)
        self.shell(copied)
        socket = self.engine.environment["DOCKER_HOST"].removeprefix("unix://")
        self.set(self.secrets | {"DOCKER_SOCKET": socket})
        return rest

    def set(self, values):
        """Give names that `infra/.env` has other values."""
        file = self.place / "infra" / ".env"
        text = file.read_text(encoding="utf-8")
        for name, value in values.items():
            text, found = re.subn(rf"(?m)^{name}=.*", f"{name}={value}", text)
            assert found == 1, name
        file.write_text(text, encoding="utf-8")

    def up(self):
        """Start it by the guide's own commands, with secrets filled in."""
        return self.shell(self.fill_in())

    def compose(self, *arguments, **options):
        """What a command of compose says on standard output."""
        return self.engine.run(
            *self.command, *arguments, cwd=self.place, **options
        ).stdout

    def headrace(self, *arguments, code=0):
        """The one object that a command in a container answers with."""
        command = (
            *self.command,
            "run",
            "--rm",
            "cli",
            "headrace",
            *arguments,
            "--json",
        )
        done = self.engine.run(*command, cwd=self.place, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout)

    def python(self, code, service="worker-cpu"):
        """Run some Python in a container of the service: how it ended."""
        command = (*self.command, "exec", "-T", service, "python", "-c", code)
        return self.engine.run(*command, cwd=self.place, check=False)

    def ask(self, url, *options):
        """Ask a published port: the status, 0 if nothing answers, and the body."""
        curl = ("curl", "--silent", "--write-out", "\n%{http_code}", *options, url)
        body, _, status = self.engine.run(*curl, check=False).stdout.rpartition("\n")
        return int(status), body

    def prefect(self, path, *options):
        """What Prefect answers one who has its login; nothing while it restarts."""
        login = f"admin:{self.secrets['PREFECT_PASSWORD']}"
        status, body = self.ask(f"{PREFECT}/api{path}", "--user", login, *options)
        assert status in {0, 200} or status >= 500, (path, status, body)
        return json.loads(body) if status == 200 else None

    def trigger(self, *overrides, pipeline="digits"):
        """Start a run on a worker; returns its id."""
        said = [word for one in overrides for word in ("--set", one)]
        return self.headrace("run", pipeline, "--deployed", *said)["flow_run_id"]

    def ended(self, run, seconds=300):
        """The name of the state in which a run ended."""

        def final():
            said = self.prefect(f"/flow_runs/{run}") or {"state_type": ""}
            return said["state_type"] in FINAL and said["state_name"]

        return until(final, f"the run has not ended: {self.log()[-3000:]}", seconds)

    def log(self, service="worker-cpu"):
        """What a service has logged."""
        return self.compose("logs", "--no-log-prefix", service)

    def messages(self, run):
        """What a run has logged in Prefect, the last first."""
        wanted = {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_DESC"}
        rows = self.prefect("/logs/filter", "--json", json.dumps(wanted)) or []
        return [row["message"] for row in rows]

    def went_on(self, run):
        """Whether a run's training went on from a checkpoint."""
        return any("goes on from epoch" in text for text in self.messages(run))

    def wait_for_epoch(self, number, run, seconds=300):
        """Wait until a run has trained for some epochs."""

        def reached():
            said = (re.match(r"epoch (\d+)/", text) for text in self.messages(run))
            return any(int(found[1]) >= number for found in said if found)

        until(reached, f"no epoch {number}: {self.log()[-3000:]}", seconds)

    def container(self, service):
        """The name of a service's container."""
        return self.compose("ps", "--quiet", service).strip()

    def weights(self):
        """The digests of the weights of all versions of digits."""
        versions = self.headrace("compare", "digits")["versions"]
        return {version["weights_digest"] for version in versions}

    def down(self):
        """End it, and remove all that it kept."""
        if self.engine.is_open:
            self.compose("--profile", "*", "down", "--volumes", "--timeout", "5")
