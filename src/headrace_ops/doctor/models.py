"""The champions: whether they are what was registered, and answer as they did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.settings import Settings
from headrace_ops.doctor.check import Check

if TYPE_CHECKING:
    from headrace.models.logged.soundness import Flaw
    from headrace.state.ledger import Version


def check_models(settings: Settings) -> list[Check]:
    """Each champion's model file, golden file and answers, in one clean process."""
    from headrace.models.logged.soundness import find_flaws, find_wrong_answers
    from headrace.state.ledger import Ledger, is_there

    if not is_there(settings.database_url):
        return []
    ledger = Ledger(settings.database_url)
    found = (ledger.champion(model) for model in ledger.models())
    champions = [champion.version for champion in found if champion is not None]
    flaws: dict[str, Flaw | None] = {}
    whole: list[Version] = []
    for version in champions:
        lost = find_flaws(version, settings)
        if lost:
            flaws[version.model] = lost[0]
        else:
            whole.append(version)
    answers = find_wrong_answers(whole, settings)
    flaws |= {v.model: flaw for v, flaw in zip(whole, answers, strict=True)}
    return [_check(version, flaws[version.model]) for version in champions]


def _check(version: Version, flaw: Flaw | None) -> Check:
    name = f"model {version.model}"
    if flaw is not None:
        return Check(
            name=name,
            state="wrong",
            seen=f"the champion, version {version.version}: {flaw.message}",
            fix=f"headrace repair {version.model}",
        )
    if not version.golden_digest:
        seen = (
            f"version {version.version}: its file is as registered; no golden answers "
            "were recorded with it"
        )
        return Check(name=name, state="ok", seen=seen)
    seen = f"version {version.version}: its files are as registered, it answers as then"
    return Check(name=name, state="ok", seen=seen)
