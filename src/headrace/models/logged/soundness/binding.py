"""Binding a version to other files that hold its weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from headrace.state.tracking import Tracking

if TYPE_CHECKING:
    from headrace.records import LoggedModel
    from headrace.settings import Settings
    from headrace.state.ledger import Ledger, Version


def bind(
    version: Version,
    logged: LoggedModel,
    why: str,
    details: Mapping[str, Any],
    settings: Settings,
    ledger: Ledger,
) -> Version:
    """Bind a version to files that are there, in the ledger and in MLflow's tags.

    Args:
        version: as it is bound now.
        logged: the files.
        why: kept for ever.
        details: of `keep_copy`, which has copied the files.
        settings: who the user is, and where MLflow is.
        ledger: takes what is written.

    Returns:
        the version as it is bound afterwards.
    """
    bound = ledger.bind(
        version,
        run_id=logged.run_id,
        model_uri=logged.model_uri,
        model_digest=logged.model_digest,
        golden_digest=logged.golden_digest,
        who=settings.user,
        why=why,
        details=details,
    )
    tags = {"headrace.model_digest": bound.model_digest}
    Tracking(settings).tag_version(bound.model, bound.version, tags)
    return bound
