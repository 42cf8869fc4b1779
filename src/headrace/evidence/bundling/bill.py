"""The bill of materials of a version: CycloneDX 1.6; the page describes the model.

Source of the format: https://cyclonedx.org/docs/1.6/json/. It is a few tables; a test
compares with the official schema.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

from headrace import __version__
from headrace.data.sources.catalog.named import find_entry
from headrace.errors import NotFoundError
from headrace.records import BackboneRecord, SnapshotRecord
from headrace.stages.ingredients import Ingredients
from headrace.stages.ingredients.closure import normal_name
from headrace.state.ledger import Version

_SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"


def bill_of_materials(
    version: Version,
    snapshot: SnapshotRecord,
    ingredients: Ingredients,
    engines: Mapping[str, Mapping[str, str]],
    backbone: BackboneRecord | None = None,
) -> dict[str, Any]:
    """The bill of a version, which depends on nothing but its record.

    Args:
        version: its row in the ledger.
        snapshot: the data that it has learned from.
        ingredients: of its training.
        engines: sha256 of the files of each engine, by name.
        backbone: the pretrained one that it began with, if there is one.
    """
    name = f"{version.model}/{version.version}"
    model, data = f"model:{name}", f"data:{snapshot.digest}"
    libraries = _libraries(ingredients)
    exported = [_engine(name, *engine) for engine in sorted(engines.items())]
    base = [_backbone(backbone)] if backbone else []
    refs = [one["bom-ref"] for one in (*base, *exported, *libraries)]
    component = {
        "type": "machine-learning-model",
        "bom-ref": model,
        "name": version.model,
        "version": str(version.version),
        "hashes": [_sha256(version.model_digest)],
    }
    return document(
        f"{version.model_digest}:{snapshot.digest}:{name}",
        version.created,
        component,
        [_data(data, snapshot), *base, *exported, *libraries],
        {model: [data, *refs]},
    )


def document(
    identity: str,
    created: str,
    component: Mapping[str, Any],
    components: Sequence[Mapping[str, Any]],
    needs: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    """A bill of something.

    Args:
        identity: from which the bill's own number is made.
        created: when, in ISO 8601.
        component: what the bill is of.
        components: what is in it.
        needs: the references of what each of them needs, by its own.
    """
    refs = [one["bom-ref"] for one in (component, *components)]
    return {
        "$schema": _SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, identity)}",
        "version": 1,
        "metadata": {
            "timestamp": created,
            "tools": {
                "components": [
                    {"type": "application", "name": "headrace", "version": __version__}
                ]
            },
            "component": component,
        },
        "components": components,
        "dependencies": [
            {"ref": ref, **({"dependsOn": needs[ref]} if ref in needs else {})}
            for ref in refs
        ],
    }


def _sha256(digest: str) -> dict[str, str]:
    return {"alg": "SHA-256", "content": digest}


def _data(ref: str, snapshot: SnapshotRecord) -> dict[str, Any]:
    """The data set, with its licence where the catalog has it."""
    contents = {"type": "dataset", "name": snapshot.source}
    component: dict[str, Any] = {
        "type": "data",
        "bom-ref": ref,
        "name": snapshot.source,
        "version": snapshot.digest[:16],
        "hashes": [_sha256(snapshot.digest)],
        "data": [contents],
    }
    if snapshot.attribution:
        component["copyright"] = snapshot.attribution
    with contextlib.suppress(NotFoundError):
        licence = find_entry(snapshot.source).licence
        component["licenses"] = [{"license": {"name": licence}}]
    return component


def _backbone(backbone: BackboneRecord) -> dict[str, Any]:
    """A pretrained backbone, whose hash is that of its list of files."""
    component: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": f"backbone:{backbone.digest}",
        "name": backbone.name,
        "version": backbone.digest[:16],
        "description": f"{backbone.architecture} from {backbone.source}",
        "hashes": [_sha256(backbone.digest)],
    }
    if backbone.licence:
        component["licenses"] = [{"license": {"name": backbone.licence}}]
    return component


def _engine(name: str, engine: str, files: Mapping[str, str]) -> dict[str, Any]:
    return {
        "type": "machine-learning-model",
        "bom-ref": f"engine:{name}/{engine}",
        "name": f"{name} as {engine}",
        "components": [
            {"type": "file", "name": file, "hashes": [_sha256(digest)]}
            for file, digest in sorted(files.items())
        ],
    }


def _libraries(ingredients: Ingredients) -> list[dict[str, Any]]:
    """The distributions that were installed when the model was trained.

    Those that the training imports itself are required, all others optional.
    """
    direct = {
        normal_name(name.removeprefix("version "))
        for name in ingredients.code
        if name.startswith("version ")
    }
    rows = {}
    for text in ingredients.distributions:
        name, _, version = text.partition("==")
        row = library(name, version, is_required=normal_name(name) in direct)
        rows[row["purl"]] = row
    return [rows[purl] for purl in sorted(rows)]


def library(name: str, version: str, *, is_required: bool) -> dict[str, Any]:
    """A distribution of Python, with its licence if this version is installed here."""
    purl = f"pkg:pypi/{name}@{version}"
    licence = _licence(name, version)
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "scope": "required" if is_required else "optional",
        "purl": purl,
        **({"licenses": [{"expression": licence}]} if licence else {}),
    }


def _licence(name: str, version: str) -> str:
    """The SPDX expression of a distribution, if this version is installed here."""
    with contextlib.suppress(metadata.PackageNotFoundError):
        facts = metadata.metadata(name)
        field = "License-Expression"
        if facts["Version"] == version and field in facts:
            return str(facts[field])
    return ""
