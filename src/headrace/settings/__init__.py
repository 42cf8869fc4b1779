"""The settings, and the only access to environment variables.

MLflow's and Prefect's own variables have their usual meaning. Without them, all state
is in the home, by default ``.headrace/`` in the project.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from headrace.display.credentials import fingerprint
from headrace.errors import UsageError, did_you_mean
from headrace.records import Finding
from headrace.settings.home import home_database, prepare

T = TypeVar("T")
LEAST_SECRET = 32
_SECRETS = {"storage_options", "privacy_seed"}
_PREFIX = "HEADRACE_"
_OF_COMPOSE = "DB_PASSWORD"  # in the .env file of infra/compose.yaml


def option(default: T, description: str, **limits: Any) -> T:
    """A field with a default; its description is for the reference and for forms."""
    field: T = Field(default=default, description=description, **limits)
    return field


def variable(name: str) -> str:
    """A variable of another program, such as PREFECT_API_URL; empty if not set."""
    return os.environ.get(name, "")


@contextlib.contextmanager
def restore_variables(*names: str) -> Iterator[None]:
    """Restore environment variables at the end of a block."""
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def find_project(start: Path) -> Path:
    """The nearest folder with ``pipelines/`` or ``.headrace/``, from ``start`` up."""
    for folder in (start, *start.parents):
        if (folder / "pipelines").is_dir() or (folder / ".headrace").is_dir():
            return folder
    return start


class Settings(BaseModel):
    """Locations and limits, set by the environment variables ``HEADRACE_<NAME>``.

    The variables are read here: pydantic-settings takes 15 ms to import, a twentieth
    of `headrace list`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    project: Path = Field(
        default_factory=lambda: find_project(Path.cwd()),
        description="the folder with pipelines/; by default the current folder or the "
        "nearest parent that has pipelines/ or .headrace/",
    )
    home: Path = Field(
        default_factory=lambda values: values["project"] / ".headrace",
        description="the folder of all state; by default .headrace/ in the project",
    )
    store: str = Field(
        default_factory=lambda values: str(values["home"].absolute() / "store"),
        description="snapshots, stage records, checkpoints and reports: a path or an "
        "fsspec URI; by default store/ in the home",
    )
    database_url: str = Field(
        default_factory=lambda values: home_database(values["home"], "headrace"),
        description="the ledger: an SQLAlchemy URL; by default headrace.db in the "
        "home, or the home's PostgreSQL",
    )
    user: str = Field(
        default_factory=lambda: f"{getpass.getuser()}@{socket.gethostname()}",
        description="who promotes, rolls back, approves and rejects: recorded, not "
        "verified; by default user@host",
    )
    dask_address: str = option(
        "",
        "a Dask scheduler whose workers share the store's folder; by default "
        "processes of this machine are used",
    )
    notify: str = option(
        "",
        "a saved notification block of Prefect, such as slack-webhook/team, for "
        "failures, refusals, rollbacks, drift and tampering",
    )
    mlflow_ui_url: str = option(
        "",
        "where browsers reach MLflow's pages, for links; by default where this machine "
        "reaches MLflow. Prefect's own PREFECT_UI_URL is that of its pages",
        pattern=r"^(https?://[^@\s]+)?$",
    )
    engines: Literal["auto", "none"] = option(
        "auto",
        "auto: `headrace serve` exports models to faster engines before it answers "
        "with them, where the extra `serve` is installed; none: Keras answers",
    )
    serve_hosts: str = option(
        "",
        "names by which clients reach `headrace serve`, beside those of its machine, "
        "such as those of a proxy: comma-separated",
    )
    data: Path | None = option(
        None,
        "a folder that has, at any depth, local copies of the named data sets; by "
        "default they are downloaded to data/ in the home",
    )
    storage_options: SecretStr = option(
        SecretStr(""),
        "JSON: credentials and other options of fsspec's file systems for sources, by "
        "protocol or by URI prefix",
    )
    privacy_seed: SecretStr = option(
        SecretStr(""),
        "the secret of private trainings, from which their samples and noise follow, "
        "of at least 32 characters; no record has it, and `headrace reproduce` needs "
        "the same. Without it they follow from training.seed",
    )
    signing_key_file: str = option(
        "",
        "a file with an elliptic-curve private key, PEM, which signs bundles, and "
        "versions whose pipeline says promotion.signed",
    )
    verify_key_file: str = option(
        "", "a file with the public key, PEM, with which these signatures are checked"
    )
    max_bytes: int = option(64 * 2**30, "bytes of one data set, decoded", gt=0)
    max_members: int = option(5_000_000, "files in one archive or folder", gt=0)
    max_file_bytes: int = option(
        128 * 2**20,
        "bytes of one encoded item, and of one row of a Parquet file: both are held "
        "in memory; ten minutes of stereo at 48 kHz have 115 MB",
        gt=0,
    )
    max_body_bytes: int = option(
        16 * 2**20,
        "bytes of the body of one request to `headrace serve`: a photo has 5 MB, a "
        "minute of sound as WAV 10",
        gt=0,
    )
    request_log_days: int = option(
        30,
        "days that the request log of `headrace serve` is kept, today included; 0: no "
        "log is written",
        ge=0,
    )
    shadow_share: float = option(
        1.0,
        "share of the requests that the shadow of `headrace serve` gets, by the hash "
        "of their ids; copies that it has no time for are dropped",
        gt=0,
        le=1,
    )
    max_processes: int = option(
        16,
        "processes that decode concurrently, one per processor: each takes up to "
        "256 MB",
        gt=0,
    )

    @model_validator(mode="wrap")
    @classmethod
    def _with_variables(
        cls, values: dict[str, Any], handler: ModelWrapValidatorHandler[Self]
    ) -> Self:
        given = {n: variable(f"{_PREFIX}{n.upper()}") for n in cls.model_fields}
        given = {name: value for name, value in given.items() if value}
        try:
            return handler(given | values)
        except ValidationError as error:
            wrong = error.errors(include_url=False)[0]
        field = ".".join(map(str, wrong["loc"]))
        value = "not shown" if field in _SECRETS else repr(wrong["input"])
        message = wrong["msg"].removeprefix("Value error, ")
        raise UsageError(
            f"The setting HEADRACE_{field.upper()} is {value}: {message}.",
            "Correct it, or leave it out.",
        )

    @classmethod
    def unknown_variables(cls) -> list[Finding]:
        """Variables that are set and named like settings, and are none."""
        names = [name.upper() for name in cls.model_fields]
        findings = []
        for set_name, value in sorted(os.environ.items()):
            name = set_name.removeprefix(_PREFIX)
            if name in (set_name, *names, _OF_COMPOSE) or not value:
                continue
            near = did_you_mean(name, names, "Leave it out.", prefix=_PREFIX)
            message = f"{set_name} is not a setting, and has no effect. {near}"
            findings.append(Finding(check="setting", count=1, message=message))
        return findings

    @field_validator("privacy_seed")
    @classmethod
    def _cannot_be_guessed(cls, seed: SecretStr) -> SecretStr:
        if 0 < len(seed.get_secret_value()) < LEAST_SECRET:
            raise ValueError(
                f"it has fewer than {LEAST_SECRET} characters, and could be guessed; "
                "python -c 'import secrets; print(secrets.token_hex(32))' makes one"
            )
        return seed

    @property
    def privacy_fingerprint(self) -> str:
        """A name for `privacy_seed` that does not reveal it; empty where it is."""
        secret = self.privacy_seed.get_secret_value()
        return fingerprint(secret.encode()) if secret else ""

    @property
    def tracking_uri(self) -> str:
        """The URI in MLflow's own variables, else a database in the home."""
        configured = variable("MLFLOW_TRACKING_URI")
        configured = configured or variable("MLFLOW_BACKEND_STORE_URI")
        return configured or self.home_tracking_uri

    @property
    def home_tracking_uri(self) -> str:
        """MLflow's database in the home."""
        return home_database(self.home, "mlflow")

    @property
    def artifacts(self) -> str:
        """URI of MLflow's artifacts: in the home, or in the store if that is remote."""
        if "://" in self.store:
            return f"{self.store.rstrip('/')}/mlartifacts"
        return (self.home.resolve() / "mlartifacts").as_uri()

    def for_child(self) -> dict[str, Any]:
        """All values as JSON, secrets included: for a child's standard input only."""
        secrets = {
            "storage_options": self.storage_options.get_secret_value(),
            "privacy_seed": self.privacy_seed.get_secret_value(),
        }
        return self.model_dump(mode="json") | secrets

    @property
    def folders(self) -> Path:
        """The folder for pipeline folders that are unpacked from the store."""
        return self.home.absolute() / "folders"

    @property
    def has_ledger(self) -> bool:
        """Whether the home is there, or the ledger is configured to be elsewhere."""
        return self.home.is_dir() or "database_url" in self.model_fields_set

    def prepare_home(self) -> Self:
        """Create the home, and restrict access to it.

        Returns:
            these settings.

        Raises:
            UsageError: the home was made by another version, belongs to another user
                and was not named, or cannot be created.
            DependencyError: its disk is full.
        """
        prepare(self.home, is_chosen="home" in self.model_fields_set)
        return self
