"""Make the templates of work pools from Prefect's own defaults.

Prefect ships the default of each type of pool; what differs here is said below. A
deployment has no say in what is executed, where and with what: it sets no command, no
environment, no folder and no image, only how large a run is. Prefect refuses one that
sets a key which the template does not list.
"""

import json
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DEFAULTS = "server/api/collections_data/views/aggregate-worker-metadata.json"
IMAGE = f"headrace:{version('headrace')}-gpu"
GPUS = {
    "title": "GPUs",
    "description": "The number of GPUs that a run gets.",
    "type": "integer",
    "minimum": 1,
    "default": 1,
}


def default(package: str, kind: str) -> dict[str, Any]:
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
        "image": IMAGE,
        "image_pull_policy": "IfNotPresent",
    }
    fix(
        template, {k: v for k, v in fixed.items() if k in template["job_configuration"]}
    )
    for name in fixed:
        variables["properties"].pop(name, None)
    return template


def fix(template: dict[str, Any], values: dict[str, Any]) -> None:
    """Take variables out: a deployment has no say in them."""
    for name, value in values.items():
        template["variables"]["properties"].pop(name, None)
        template["job_configuration"][name] = value


def process() -> dict[str, Any]:
    """A process for each run: ``headrace worker``."""
    from headrace_ops.pools import PROCESS_TEMPLATE

    return PROCESS_TEMPLATE


def docker() -> dict[str, Any]:
    """A container for each run, on the networks of compose.yaml."""
    template = default("prefect-docker", "docker")
    properties = template["variables"]["properties"]
    properties["auto_remove"]["default"] = True
    properties["gpus"] = GPUS
    secrets = "/etc/headrace/secrets"
    home = "/var/lib/headrace"
    fix(
        template,
        {
            "privileged": False,
            "registry_credentials": None,
            "network_mode": None,
            "networks": ["headrace_data", "headrace_pages"],
            # Each library's own file of logins: Prefect's page would show a variable.
            "volumes": [
                f"{secrets}/pgpass:{home}/.pgpass:ro",
                f"{secrets}/aws:{home}/.aws:ro",
                f"{secrets}/mlflow:{home}/.mlflow:ro",
            ],
            "container_create_kwargs": {
                "cap_drop": ["ALL"],
                "security_opt": ["no-new-privileges:true"],
                "device_requests": [
                    {
                        "driver": "nvidia",
                        "count": "{{ gpus }}",
                        "capabilities": [["gpu"]],
                    }
                ],
            },
        },
    )
    # Prefect adds those that tell the run which one it is.
    template["job_configuration"]["env"] = {
        "HEADRACE_DATABASE_URL": "postgresql+psycopg2://headrace@postgres:5432/headrace",
        "HEADRACE_STORE": "s3://headrace/store",
        "MLFLOW_TRACKING_URI": "http://mlflow:5000",
        "AWS_ENDPOINT_URL": "http://objects:8333",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    template["variables"].pop("definitions")
    return template


def kubernetes() -> dict[str, Any]:
    """A job for each run, on a node with GPUs."""
    template = default("prefect-kubernetes", "kubernetes")
    properties = template["variables"]["properties"]
    properties["finished_job_ttl"]["default"] = 3600
    # A node with a GPU may have to be started first.
    properties["pod_watch_timeout_seconds"]["default"] = 900
    properties["cpu_request"]["default"] = "2"
    properties["memory_request"]["default"] = "8Gi"
    properties["memory_limit"]["default"] = "16Gi"
    properties["gpus"] = GPUS
    fix(template, {"namespace": "headrace", "cluster_config": None})
    properties.pop("service_account_name")
    template["variables"].pop("definitions")
    job = template["job_configuration"]["job_manifest"]
    job["metadata"] |= {"namespace": "headrace", "labels": {}}
    # Prefect's default has these in the pod, where Kubernetes does not know them.
    job["spec"] |= {"parallelism": 1, "completions": 1}
    job["spec"]["template"] = pod(job["spec"]["template"]["spec"]["containers"][0])
    return template


def pod(container: dict[str, Any]) -> dict[str, Any]:
    """The pod of a run, as those of infra/kubernetes."""
    del container["args"], container["env"]  # Prefect's worker adds its own
    container["image"], container["imagePullPolicy"] = IMAGE, "IfNotPresent"
    for part in container["resources"].values():
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
            {"name": "home", "mountPath": "/var/lib/headrace"},
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
            "nodeSelector": {"nvidia.com/gpu.present": "true"},
            "tolerations": [
                {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
            ],
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


TEMPLATES = {"process": process, "gpu-docker": docker, "gpu-kubernetes": kubernetes}


def main() -> None:
    """Write each template."""
    for name, make in TEMPLATES.items():
        text = json.dumps(make(), indent=2) + "\n"
        (HERE / f"{name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
