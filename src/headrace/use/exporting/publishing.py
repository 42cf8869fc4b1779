"""``headrace export --push``: an exported version in a repository of the Hub.

What goes there are the files of the model and its card. The golden answers are those of
real items, and stay here.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from headrace.display.pages import render
from headrace.errors import Refusal, UsageError
from headrace.records import Record
from headrace.stages.promotion.conditions import find_flaw, require_signed
from headrace.state import hub
from headrace.state.home import Home
from headrace.state.ledger import Version
from headrace.use.exporting import CHECK, FACTS, README, Exported
from headrace.use.exporting.readme import usage

CARD = "README.md"
_KEPT = {CHECK, README, "golden.npz"}
_PLACE = re.compile(r"hf://(?!datasets/|spaces/)([\w.-]+/[\w.-]+)", re.ASCII)


class Pushed(Record):
    """What was pushed.

    Attributes:
        url: of the repository.
        commit: the commit that has the files.
        is_private: whether the repository is.
        files: the names of all that it was given.
    """

    url: str
    commit: str
    is_private: bool
    files: tuple[str, ...]


def require_pushable(name: str, uri: str, home: Home) -> Version:
    """The version to push, if it may be pushed to a place.

    Args:
        name: as `export` takes it.
        uri: ``hf://OWNER/NAME``.
        home: with the ledger and the store.

    Raises:
        NotFoundError: there is no such version.
        UsageError: the place is none, there is no token, or an extra is missing.
        Refusal: the law allows other licences than its backbone has.
        IntegrityError: the law wants a signature that it has not.
    """
    if not _PLACE.fullmatch(uri):
        raise UsageError(
            f"--push {uri}: that is no repository of models.",
            "Write hf://OWNER/NAME.",
        )
    hub.client(uri)
    if not hub.token():
        raise UsageError(
            f"Writing to {uri} needs a token.",
            "Set HF_TOKEN to one that may write there.",
        )
    version = home.ledger.find(name)
    evidence = home.ledger.standing_evidence(version.model, version.version)
    law = evidence.law.get("committed", {}).get("promotion", {}) if evidence else {}
    if flaw := find_flaw(version, law.get("licence", ()), home):
        raise Refusal(
            f"{version} is not pushed: {flaw}.",
            "Train with another backbone; or, if you know its licence, say so with "
            "`headrace backbone add NAME SOURCE --licence SPDX`.",
        )
    require_signed(version, home)
    return version


def push(exported: Exported, uri: str, home: Home) -> Pushed:
    """Put an export and its card into a repository, in one commit.

    A repository that does not exist is made, as a private one. Other files that it has
    stay in it.

    Args:
        exported: with the folder.
        uri: as `require_pushable` has accepted it.
        home: with the registry.

    Raises:
        UsageError: it may not be written.
        DependencyError: the Hub or MLflow does not answer.
    """
    folder = Path(exported.output)
    facts = json.loads((folder / FACTS).read_bytes())
    about = home.tracking.version_card(exported.model, exported.version)
    files = (path for path in folder.rglob("*") if path.is_file())
    named = {path.relative_to(folder).as_posix(): path for path in files}
    contents: dict[str, Path | bytes] = {n: named[n] for n in named.keys() - _KEPT}
    tags = json.dumps(["headrace", facts["medium"], facts["task"], facts["format"]])
    shown = {"tags": tags, "about": about.strip() or f"# {facts['model']}"}
    shown |= {"usage": "\n".join(usage(facts)), "digest": facts["model_digest"]}
    contents[CARD] = f"{render('hub_card.txt', **shown)}\n".encode()
    message = f"{exported.model} version {exported.version}, "
    message += facts["model_digest"][:16]
    url, commit, is_private = hub.write(uri, contents, message)
    return Pushed(
        url=url, commit=commit, is_private=is_private, files=tuple(sorted(contents))
    )
