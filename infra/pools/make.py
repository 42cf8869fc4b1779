"""Make the templates of work pools from Prefect's own defaults.

Prefect ships the default of each type of pool; what differs here is said below. A
deployment has no say in what is executed, where and with what: it sets no command, no
environment, no folder and no image, only how large a run is. Prefect refuses one that
sets a key which the template does not list.
"""

import json
from functools import partial
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DEFAULTS = "server/api/collections_data/views/aggregate-worker-metadata.json"
HOME = "/var/lib/headrace"
# Prefect's page shows a template: it names these, and the worker knows the values.
FROM_THE_WORKER = (
    *("HEADRACE_DATABASE_URL", "PGPASSWORD", "HEADRACE_STORE", "HEADRACE_NOTIFY"),
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    *("AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION"),
    *("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"),
    "HEADRACE_MLFLOW_UI_URL",
)
GPUS = {
    "title": "GPUs",
    "description": "The number of GPUs that a run gets.",
    "type": "integer",
    "minimum": 1,
    "default": 1,
}
ON_A_NODE_WITH_GPUS = {
    "nodeSelector": {"nvidia.com/gpu.present": "true"},
    "tolerations": [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    ],
}


def image(gpu: bool) -> str:
    """The image that runs are executed in."""
    return f"headrace:{version('headrace')}-{'gpu' if gpu else 'cpu'}"


def default(package: str, kind: str, gpu: bool) -> dict[str, Any]:
    """Prefect's template of a type of pool, less what would choose what is executed."""
    text = files("prefect").joinpath(DEFAULTS).read_text(encoding="utf-8")
    template: dict[str, Any] = json.loads(text)[package][kind][
        "default_base_job_configuration"
    ]
    variables = template["variables"]
    variables.pop("description", None)
    variables["additionalProperties"] = False
    fixed = {
        "command": None,  # the worker's own
        "env": {},
        "labels": {},
        "image": image(gpu),
        "image_pull_policy": "IfNotPresent",
    }
    fix(
        template, {k: v for k, v in fixed.items() if k in template["job_configuration"]}
    )
    for name in fixed:
        variables["properties"].pop(name, None)
    if gpu:
        variables["properties"]["gpus"] = GPUS
    return template


def fix(template: dict[str, Any], values: dict[str, Any]) -> None:
    """Take variables out: a deployment has no say in them."""
    for name, value in values.items():
        template["variables"]["properties"].pop(name, None)
        template["job_configuration"][name] = value


def docker(gpu: bool) -> dict[str, Any]:
    """A container for each run, on the networks of compose.yaml."""
    template = default("prefect-docker", "docker", gpu)
    template["variables"]["properties"]["auto_remove"]["default"] = True
    options: dict[str, Any] = {
        "init": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
    }
    if gpu:
        options["device_requests"] = [
            {"driver": "nvidia", "count": "{{ gpus }}", "capabilities": [["gpu"]]}
        ]
    fix(
        template,
        {
            # Prefect takes the run's own. A name that a deployment chose could hold a
            # variable of the worker, and events show it.
            "name": None,
            "privileged": False,
            "registry_credentials": None,
            "network_mode": None,
            "networks": ["headrace_data", "headrace_pages"],
            "volumes": [],
            "container_create_kwargs": options,
        },
    )
    template["variables"].pop("definitions")
    # Only here does Prefect take variables of the worker. It adds its own: which run it
    # is, and what the worker's environment says of Prefect.
    variables = {
        "PREFECT_HOME": f"{HOME}/prefect",
        **{name: f"{{{{ ${name} }}}}" for name in FROM_THE_WORKER},
    }
    template["job_configuration"]["env"] = "{{ env }}"
    template["variables"]["properties"]["env"] = {
        "title": "Environment Variables",
        "description": "Those of the worker. A deployment has no say in them.",
        "type": "object",
        "default": variables,
        "const": variables,
    }
    return template


def kubernetes(gpu: bool) -> dict[str, Any]:
    """A job for each run; with GPUs, on a node that has some."""
    template = default("prefect-kubernetes", "kubernetes", gpu)
    properties = template["variables"]["properties"]
    properties["finished_job_ttl"]["default"] = 3600
    # A node may have to be started first.
    properties["pod_watch_timeout_seconds"]["default"] = 900
    properties["cpu_request"]["default"] = "2" if gpu else "1"
    properties["memory_request"]["default"] = "8Gi" if gpu else "4Gi"
    properties["memory_limit"]["default"] = "16Gi" if gpu else "8Gi"
    fix(template, {"namespace": "headrace", "cluster_config": None})
    properties.pop("service_account_name")
    template["variables"].pop("definitions")
    job = template["job_configuration"]["job_manifest"]
    job["metadata"] |= {"namespace": "headrace", "labels": {}}
    # Prefect's default has these in the pod, where Kubernetes does not know them.
    job["spec"] |= {"parallelism": 1, "completions": 1}
    (container,) = job["spec"]["template"]["spec"]["containers"]
    job["spec"]["template"] = pod(container, gpu)
    return template


def pod(container: dict[str, Any], gpu: bool) -> dict[str, Any]:
    """The pod of a run, as those of infra/kubernetes."""
    del container["args"], container["env"]  # Prefect's worker adds its own
    container["image"], container["imagePullPolicy"] = image(gpu), "IfNotPresent"
    for part in container["resources"].values() if gpu else ():
        part["nvidia.com/gpu"] = "{{ gpus }}"
    container |= {
        "envFrom": [
            {"configMapRef": {"name": "headrace-client"}},
            {"secretRef": {"name": "headrace-client"}},
        ],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "home", "mountPath": HOME},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
        ],
    }
    return {
        "metadata": {"labels": {"app.kubernetes.io/name": "headrace-run"}},
        "spec": {
            "restartPolicy": "Never",
            "serviceAccountName": "headrace-run",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 30,
            **(ON_A_NODE_WITH_GPUS if gpu else {}),
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "runAsGroup": 10001,
                "fsGroup": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
            "volumes": [
                {"name": "home", "emptyDir": {"sizeLimit": "50Gi"}},
                {"name": "tmp", "emptyDir": {"sizeLimit": "4Gi"}},
            ],
        },
    }


TEMPLATES = {
    "docker": partial(docker, gpu=False),
    "gpu-docker": partial(docker, gpu=True),
    "kubernetes": partial(kubernetes, gpu=False),
    "gpu-kubernetes": partial(kubernetes, gpu=True),
}


def main() -> None:
    """Write each template."""
    for name, make in TEMPLATES.items():
        text = json.dumps(make(), indent=2) + "\n"
        (HERE / f"{name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
