"""The rows of the ledger, as frozen records."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import Field

from headrace.records import DEFAULT_TASK, DataDescription, GateResult, Record
from headrace.state.processes import Process, this_process

GRACE_SECONDS = 90.0  # in which a run that has ended reports its state to Prefect


def utc_now() -> str:
    """The current time, ISO 8601 with milliseconds, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Version(Record):
    """One registered training.

    Attributes:
        version: the number that the registry gave it.
        training: fingerprint of the training; unique in the model.
        created: ISO 8601, UTC.
        details: further facts, as JSON.
    """

    model: str
    version: int = Field(ge=1)
    training: str
    run_id: str
    model_uri: str
    model_digest: str
    weights_digest: str
    snapshot_digest: str
    created_by: str
    created: str = Field(default_factory=utc_now)
    details: Mapping[str, Any] = {}

    def __str__(self) -> str:
        return f"{self.model} version {self.version}"

    @property
    def description(self) -> DataDescription:
        """Of the data that it was trained on."""
        return DataDescription.model_validate(self.details["description"])

    @property
    def task(self) -> str:
        """The name of its task."""
        return str(self.details.get("description", {}).get("task", DEFAULT_TASK))

    @property
    def golden_digest(self) -> str:
        """sha256 of its golden file."""
        training = self.details.get("training", {})
        digest = self.details.get("golden_digest") or training.get("golden_digest")
        return str(digest or "")

    @property
    def model_bytes(self) -> int:
        """The size of its model's file; 0 where it is not known, as of a later file."""
        training = self.details.get("training", {})
        is_its = training.get("model_digest") == self.model_digest
        return int(training.get("model_bytes") or 0) if is_its else 0

    @property
    def max_item_bytes(self) -> int | None:
        """The ``data.max_item_bytes`` that its data was read by; None if none is."""
        limit: int | None = self.details.get("max_item_bytes")
        return limit

    @property
    def is_bound_anew(self) -> bool:
        """Whether a binding has replaced the files that it was registered with."""
        return "binding" in self.details


class Evaluated(Record):
    """The evaluation of one version.

    Attributes:
        metrics: by name; None where the value was not finite.
        champion_version: the version it was compared with; None if there was none.
        best_version: the best former champion it was compared with; None if none.
        rows_digest: sha256 of the sorted digests of the evaluated test items.
    """

    version: int
    metrics: Mapping[str, float | None]
    champion_version: int | None
    best_version: int | None = None
    snapshot_digest: str
    rows_digest: str = ""


class Evidence(Evaluated):
    """The verdict of the gates on one version.

    Attributes:
        id: its number in the ledger; None until it is added.
        champion_sequence: the last entry of the ledger at the evaluation.
        law: the law of the pipeline's file (``committed``), the law that was applied
            (``applied``), the text of the file (``file``), and the sha256 of the model
            file that was judged by it (``model_digest``).
        law_digest: sha256 of the law in the pipeline's committed file.
        overrides: fields of the law that the run overrode; with any, the run is an
            experiment.
        created: ISO 8601, UTC.
    """

    id: int | None = None
    model: str
    kind: Literal["gates"] = "gates"
    passed: bool
    gates: tuple[GateResult, ...]
    champion_sequence: int
    law: Mapping[str, Any] = {}
    law_digest: str = ""
    overrides: tuple[str, ...] = ()
    run_id: str
    created: str = Field(default_factory=utc_now)

    @property
    def model_digest(self) -> str:
        """Of the file that was judged."""
        return str(self.law.get("model_digest", ""))

    @property
    def experiment(self) -> bool:
        """Whether the run overrode the law of the pipeline's file."""
        return bool(self.overrides)

    @property
    def is_sound(self) -> bool:
        """Whether no gate has failed, except perhaps the comparison."""
        return all(gate.passed or gate.kind == "champion" for gate in self.gates)

    @property
    def subject(self) -> tuple[Any, ...]:
        """Version, opponents, rows and law; equal for repeated evaluations."""
        return (
            self.version,
            self.champion_version,
            self.best_version,
            self.snapshot_digest,
            self.rows_digest,
            self.law_digest,
            self.law.get("applied"),
        )


class Entry(Record):
    """One promotion or rollback.

    Attributes:
        sequence: 1, 2, 3 … without gaps in one model.
        from_version: the champion before it; None for the first.
        when: ISO 8601, UTC.
        forced: whether it was promoted without passing evidence.
    """

    model: str
    sequence: int
    action: Literal["promote", "rollback"]
    from_version: int | None
    to_version: int
    who: str
    when: str = Field(default_factory=utc_now)
    why: str
    forced: bool = False
    evidence_id: int | None = None

    def __str__(self) -> str:
        step = f"promoted version {self.to_version}"
        if self.action == "rollback":
            step = f"rolled back from version {self.from_version} to {self.to_version}"
        return f"{self.who} {step} at {self.when} (entry {self.sequence})"


def model_of(name: str) -> str:
    """The model in ``MODEL``, ``MODEL@champion`` or ``MODEL/VERSION``."""
    return name.partition("@")[0].partition("/")[0]


class Approval(Record):
    """A request for approval of a version, or the answer to one.

    Attributes:
        step: 1, 2, 3 … without gaps in one version; the last one is valid.
        who: for a request, who started the run. Names are not authenticated.
        when: ISO 8601, UTC.
        expires: of a request, ISO 8601, UTC; then it counts as rejected.
        four_eyes: of a request, whether another person must answer it.
        evidence_id: the evidence of the decision.
    """

    model: str
    version: int
    step: int = Field(ge=1)
    action: Literal["request", "approve", "reject"]
    who: str
    when: str = Field(default_factory=utc_now)
    why: str = ""
    expires: str | None = None
    four_eyes: bool = False
    evidence_id: int | None = None

    @property
    def is_overdue(self) -> bool:
        """Whether it is a request that has expired."""
        return self.expires is not None and self.expires <= utc_now()

    def answer(self, action: Literal["approve", "reject"], **values: Any) -> Approval:
        """The answer to a request, with values of its other fields."""
        values |= {"model": self.model, "version": self.version}
        return Approval(action=action, step=self.step + 1, **values)

    def __str__(self) -> str:
        verbs = {"request": "asked for", "approve": "approved", "reject": "rejected"}
        reason = f" ({self.why})" if self.why else ""
        return f"{verbs[self.action]} by {self.who}{reason}"


class Binding(Record):
    """The files that hold a version's weights from now on, and the reason.

    The weights stay those that were registered. A Keras file contains the time of
    saving, so equal weights that are saved again have another digest.

    Attributes:
        step: 1, 2, 3 … without gaps in one version; the last one is valid.
        when: ISO 8601, UTC.
        details: override the version's details of the same names.
    """

    model: str
    version: int
    step: int = Field(ge=1)
    run_id: str
    model_uri: str
    model_digest: str
    golden_digest: str
    who: str
    when: str = Field(default_factory=utc_now)
    why: str
    details: Mapping[str, Any] = {}


class Tampering(Record):
    """A change behind Headrace's back that a check found, or the end of one.

    Attributes:
        model: its name; empty for the ledger as a whole.
        what: what was changed, such as ``alias champion``.
        version: of the model, where it is about one.
        step: 1, 2, 3 … without gaps for what was changed; the last one is valid.
        action: ``tampered``; ``restored``, by a repair; ``settled``, the next check
            found it as it was recorded.
        when: ISO 8601, UTC.
        why: what was found, or what was done.
    """

    model: str
    what: str
    version: int | None = None
    step: int = Field(default=1, ge=1)
    action: Literal["tampered", "restored", "settled"] = "tampered"
    who: str
    when: str = Field(default_factory=utc_now)
    why: str

    @property
    def subject(self) -> tuple[str, str]:
        """The model, and what was changed."""
        return self.model, self.what


class Champion(Record):
    """The version in production, and the entry that put it there."""

    version: Version
    entry: Entry


class Lease(Record):
    """A lease, acquired once by one run.

    Attributes:
        name: of the pipeline, or of a flow run.
        token: the fencing token: 1, 2, 3 …
        holder: the user who runs it.
        host: the holder's machine.
        pid: the id of the holder's process.
        started: when that process began; see `Process`.
        flow_run_id: the id of the Prefect flow run.
        acquired: seconds since 1970 by the database's clock.
        expires: by the same clock; when it was released, if it was.
        state: ``lost`` if another run took it over or its run failed, until recovery
            has cleaned up; then ``ended``.
    """

    name: str
    token: int = 0
    holder: str
    host: str
    pid: int
    started: str
    flow_run_id: str
    acquired: float = 0.0
    expires: float = 0.0
    state: Literal["held", "lost", "ended"] = "held"

    @classmethod
    def wanted(cls, name: str, flow_run_id: str, holder: str) -> Lease:
        """A lease of this process, not acquired yet."""
        host, pid, started = this_process()
        process: dict[str, Any] = {"host": host, "pid": pid, "started": started}
        return cls(name=name, holder=holder, flow_run_id=flow_run_id, **process)

    @property
    def process(self) -> Process:
        """The process that holds it."""
        return Process(self.host, self.pid, self.started)

    def is_same_run(self, other: Lease) -> bool:
        """Whether both are of the same run in the same process."""
        return (self.process, self.flow_run_id) == (other.process, other.flow_run_id)

    def is_alive(self, now: float) -> bool:
        """Whether its holder still runs.

        A process on another machine, or a suspended one, counts as alive until the
        lease expires.
        """
        if self.state != "held":
            return False
        condition = self.process.condition
        return condition == "running" or (condition != "gone" and now < self.expires)

    def may_be_alive(self, now: float) -> bool:
        """Whether its run is alive, or ended so recently that it may still report."""
        if self.state == "held":
            return self.is_alive(now)
        is_fresh = now < self.expires + GRACE_SECONDS
        return is_fresh and self.process.condition != "gone"

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.acquired, UTC).strftime("%Y-%m-%d %H:%M:%S")
        host = self.host.partition("#")[0]
        return f"{self.holder} (process {self.pid} on {host}) since {since} UTC"
