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
RELEASES = ("1.31", "1.34", "1.37")
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


def test_a_field_that_kubernetes_does_not_know_would_be_noticed():
    broken = copy.deepcopy(MANIFESTS["Deployment worker-gpu"])
    broken["spec"]["template"]["spec"]["contaniers"] = []
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, RELEASES[-1], strict=True)


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


def test_links_are_those_that_a_browser_can_open():
    settings = MANIFESTS["ConfigMap headrace-client"]["data"]
    values = (FOLDER / "values" / "prefect-server.yaml").read_text(encoding="utf-8")
    page = yaml.safe_load(values)["server"]["uiConfig"]["prefectUiApiUrl"]
    assert settings["PREFECT_UI_URL"] == page.removesuffix("/api")
    (port,) = MANIFESTS["Service mlflow"]["spec"]["ports"]
    assert settings["HEADRACE_MLFLOW_UI_URL"] == f"http://127.0.0.1:{port['port']}"
    allowed = MANIFESTS["ConfigMap mlflow"]["data"]["MLFLOW_SERVER_ALLOWED_HOSTS"]
    assert "127.0.0.1:*" in allowed.split(",")


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


def test_only_a_pod_that_takes_a_gpu_goes_to_a_node_with_one():
    for name, template in pods().items():
        spec = template["spec"]
        (container,) = spec["containers"]
        takes = "nvidia.com/gpu" in container["resources"]["limits"]
        assert takes == (name in {"gpu-kubernetes", "Deployment worker-gpu"})
        tolerated = [row["key"] for row in spec.get("tolerations", [])]
        assert tolerated == (["nvidia.com/gpu"] if takes else [])
        assert spec.get("nodeSelector", {}) == (
            {"nvidia.com/gpu.present": "true"} if takes else {}
        )


def test_what_selects_a_pod_finds_one():
    labels = [template["metadata"]["labels"] for template in pods().values()]
    # Those of Prefect's charts.
    labels += [{"app.kubernetes.io/name": f"prefect-{x}"} for x in ("server", "worker")]
    for name, manifest in MANIFESTS.items():
        for selector in selectors(manifest["spec"] if "spec" in manifest else {}):
            assert any(selector.items() <= own.items() for own in labels), name


def selectors(node):
    """All that a manifest selects pods with, each as labels."""
    found = []
    if isinstance(node, list):
        return [row for part in node for row in selectors(part)]
    if not isinstance(node, dict):
        return found
    for key, value in node.items():
        if key in {"selector", "podSelector"}:
            if "matchExpressions" in value:
                for row in value["matchExpressions"]:
                    found += [{row["key"]: option} for option in row["values"]]
            elif "matchLabels" in value or key == "podSelector":
                found.append(value.get("matchLabels", {}))
            else:
                found.append(value)
        elif key != "namespaceSelector":
            found += selectors(value)
    return found


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


@pytest.mark.parametrize("path", POOLS, ids=lambda path: path.stem)
@pytest.mark.parametrize(
    "values",
    [
        {"command": "sh -c id"},
        {"image": "elsewhere/x"},
        {"working_dir": "/tmp"},
        {"env": {"KERAS_BACKEND": "jax"}},
        {"env.PATH": "/tmp"},
        {"privileged": True},
        {"service_account_name": "cluster-admin"},
        {"gpus": 0},
    ],
    ids=str,
)
def test_a_deployment_cannot_set_what_is_not_listed(path, values):
    from prefect.utilities.schema_tools import validate

    schema = json.loads(path.read_text(encoding="utf-8"))["variables"]
    allowed = {"stream_output": False}
    if path.stem.startswith("gpu-"):
        allowed["gpus"] = 2
    assert validate(allowed, schema, raise_on_error=False) == []
    assert validate(values, schema, raise_on_error=False) != []


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


@pytest.mark.parametrize("name", ["docker", "gpu-docker"])
def test_a_deployment_cannot_have_a_secret_shown_as_the_name_of_a_container(name):
    """Prefect renders `{{ $PGPASSWORD }}` in a name, and its events show names."""
    from prefect.utilities.schema_tools import validate

    pool = json.loads((INFRA / "pools" / f"{name}.json").read_text(encoding="utf-8"))
    asked = {"name": "{{ $PGPASSWORD }}"}
    assert validate(asked, pool["variables"], raise_on_error=False) != []
    assert pool["job_configuration"]["name"] is None
