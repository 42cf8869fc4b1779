"""The bill of materials of a release: what requirements.lock has, as CycloneDX 1.6."""

import contextlib
import hashlib
import re
import tomllib
import uuid
from collections import defaultdict
from datetime import UTC, datetime
from importlib import metadata

from packaging.requirements import Requirement

from headrace import __version__
from headrace.stages.ingredients.closure import normal_name

_PACKAGE = re.compile(r"^([\w.-]+)==([^ ;\\]+)")
_WHO_NEEDS_IT = re.compile(r"^    # +(?:via )?([\w.-]+)$", re.M)


def bill_of_release(root, wheel, created):
    """The bill of a wheel.

    Args:
        root: of the repository.
        wheel: its file.
        created: in seconds since 1970.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    lock = (root / "requirements.lock").read_text(encoding="utf-8")
    versions, needs = read_lock(lock)
    name, version = project["project"]["name"], project["project"]["version"]
    declared = [Requirement(text) for text in project["project"]["dependencies"]]
    needs[name] = {normal_name(one.name) for one in declared}
    required = _all_needed(needs[name], needs)
    rows = [
        library(one, number, is_required=one in required)
        for one, numbers in versions.items()
        for number in numbers
    ]
    refs = defaultdict(list)
    for row in rows:
        refs[row["name"]].append(row["bom-ref"])
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    own = library(name, version, is_required=True)
    component = {
        **{key: own[key] for key in ("bom-ref", "name", "version", "purl")},
        "type": "application",
        "description": project["project"]["description"],
        "licenses": [{"expression": project["project"]["license"]}],
        "hashes": [{"alg": "SHA-256", "content": digest}],
    }
    needed = {
        row["bom-ref"]: [ref for one in sorted(needs[row["name"]]) for ref in refs[one]]
        for row in (own, *rows)
    }
    made = datetime.fromtimestamp(created, UTC).isoformat()
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, digest)}",
        "version": 1,
        "metadata": {
            "timestamp": made,
            "tools": {
                "components": [
                    {"type": "application", "name": "headrace", "version": __version__}
                ]
            },
            "component": component,
        },
        "components": rows,
        "dependencies": [
            {"ref": ref, "dependsOn": refs} for ref, refs in needed.items()
        ],
    }


def library(name, version, *, is_required):
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


def _licence(name, version):
    with contextlib.suppress(metadata.PackageNotFoundError):
        facts = metadata.metadata(name)
        if facts["Version"] == version:
            return facts.get("License-Expression", "")
    return ""


def read_lock(text):
    """The versions of each package, and the packages that each needs."""
    versions, needs = defaultdict(list), defaultdict(set)
    for block in re.split(r"\n(?=\S)", text):
        if found := _PACKAGE.match(block):
            versions[found[1]].append(found[2])
            for parent in _WHO_NEEDS_IT.findall(block):
                needs[parent].add(found[1])
    return versions, needs


def _all_needed(names, needs):
    found, waiting = set(), list(names)
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            waiting += needs[name]
    return found
