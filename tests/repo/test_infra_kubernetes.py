"""``infra/kubernetes/`` and ``infra/pools/``: Kubernetes and Prefect take them."""

import copy
import json
import runpy
from importlib.metadata import version
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

INFRA = Path(__file__).resolve().parents[2] / "infra"
FOLDER = INFRA / "kubernetes"
POOLS = sorted((INFRA / "pools").glob("*.json"))
RELEASES = ("1.31", "1.37")
JOBS = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in POOLS
    if path.stem.endswith("kubernetes")
}


def manifests():
    """Each manifest, by kind and name."""
    return {
        f"{document['kind']} {document['metadata']['name']}": document
        for path in sorted(FOLDER.glob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
        if document["kind"] != "Kustomization"
    }


MANIFESTS = manifests()
DEPLOYMENTS = {n: m for n, m in MANIFESTS.items() if m["kind"] == "Deployment"}


def job_of(template, values):
    """The Kubernetes job that Prefect makes of a template."""
    from prefect.utilities.templating import apply_values

    properties = template["variables"]["properties"]
    known = {
        name: row["default"] for name, row in properties.items() if "default" in row
    }
    job = copy.deepcopy(template["job_configuration"])
    made = apply_values(job, {**known, **values})
    manifest = made["job_manifest"]
    # What Prefect's Kubernetes worker adds itself.
    container = manifest["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": "PREFECT_API_URL", "value": "http://x/api"}]
    manifest["metadata"] |= {"generateName": "run-", "labels": {"prefect.io/x": "y"}}
    return manifest


def pods():
    """The template of each pod, those of runs included."""
    found = {name: m["spec"]["template"] for name, m in DEPLOYMENTS.items()}
    return found | {
        name: job["job_configuration"]["job_manifest"]["spec"]["template"]
        for name, job in JOBS.items()
    }


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("name", MANIFESTS)
def test_kubernetes_knows_every_field(name, release):
    kubernetes_validate.validate(MANIFESTS[name], release, strict=True)
    assert MANIFESTS[name]["kind"] != "Secret"


def test_kustomize_lists_every_file_and_image():
    text = (FOLDER / "kustomization.yaml").read_text(encoding="utf-8")
    kustomization = yaml.safe_load(text)
    files = {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(kustomization["resources"]) == files
    used = {
        container["image"]
        for manifest in DEPLOYMENTS.values()
        for container in manifest["spec"]["template"]["spec"]["containers"]
    }
    assert used == {row["name"] for row in kustomization["images"]}
    for name, manifest in MANIFESTS.items():
        if manifest["kind"] != "Namespace":
            assert manifest["metadata"]["namespace"] == "headrace", name


@pytest.mark.parametrize("name", pods())
def test_a_pod_has_no_rights_and_has_limits(name):
    spec = pods()[name]["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert f"ServiceAccount {spec['serviceAccountName']}" in MANIFESTS
    assert spec["securityContext"]["runAsNonRoot"] is True
    (container,) = spec["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"]["memory"]
    assert container["resources"]["requests"]["cpu"]
    for source in container["envFrom"]:
        if "configMapRef" in source:
            assert f"ConfigMap {source['configMapRef']['name']}" in MANIFESTS
    if name not in JOBS:
        probes = ("startupProbe", "readinessProbe", "livenessProbe")
        assert all(probe in container for probe in probes)
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in spec["volumes"]}


def test_the_rest_of_the_cluster_is_shut_out():
    deny = MANIFESTS["NetworkPolicy default-deny"]["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for name, manifest in MANIFESTS.items():
        for rule in manifest.get("spec", {}).get("ingress", []):
            assert rule["from"], name


def test_the_templates_are_made_from_prefects_own():
    made = runpy.run_path(str(INFRA / "pools" / "make.py"))
    assert {path.stem for path in POOLS} == set(made["TEMPLATES"])
    for path in POOLS:
        kept = json.loads(path.read_text(encoding="utf-8"))
        assert kept == made["TEMPLATES"][path.stem](), (
            f"run infra/pools/make.py: {path}"
        )


@pytest.mark.parametrize("path", POOLS, ids=lambda path: path.stem)
def test_prefect_takes_the_template(path):
    from prefect.server.schemas.actions import WorkPoolCreate
    from prefect.utilities.schema_tools import is_valid_schema, validate
    from prefect.utilities.templating import find_placeholders

    template = json.loads(path.read_text(encoding="utf-8"))
    WorkPoolCreate(
        name="gpu", type=path.stem.split("-")[-1], base_job_template=template
    )
    schema = template["variables"]
    is_valid_schema(schema)
    said = {found.name for found in find_placeholders(template["job_configuration"])}
    assert said <= set(schema["properties"])
    assert set(schema["properties"]) <= said
    given = {
        name: row["default"]
        for name, row in schema["properties"].items()
        if "default" in row
    }
    assert validate(given, schema, raise_on_error=False) == []


@pytest.mark.parametrize("values", [{}, {"gpus": 2}, {"memory_limit": "2Gi"}], ids=str)
@pytest.mark.parametrize("name", JOBS)
def test_the_job_of_a_run_is_one_that_kubernetes_knows(name, values):
    job = job_of(JOBS[name], values)
    for release in RELEASES:
        kubernetes_validate.validate(job, release, strict=True)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    gpus = container["resources"]["limits"].get("nvidia.com/gpu")
    assert gpus == (values.get("gpus", 1) if name.startswith("gpu-") else None)
    assert container["image"] == f"headrace:{version('headrace')}-" + (
        "gpu" if gpus else "cpu"
    )
    assert container["envFrom"][1]["secretRef"]["name"] == "headrace-client"
