"""One fit on several machines: what Kubeflow and SLURM are given becomes TF_CONFIG."""

import json
import os
import subprocess

import kubernetes_validate
import pytest
import yaml
from tests.repo.docs_blocks import ROOT, blocks_of

from headrace.stages.fitting import cluster

KUBERNETES = ROOT / "infra" / "kubernetes"
FOLDER = KUBERNETES / "kubeflow"
POOL = json.loads((ROOT / "infra/pools/gpu-kubernetes.json").read_text("utf-8"))
GUIDE = ROOT / "docs" / "guides" / "gpus.md"
PORT = 2222
OTHERS = ["python", "-m", "headrace.stages.fitting.worker"]


def load(file):
    return yaml.safe_load((FOLDER / file).read_text(encoding="utf-8"))


JOB = load("tfjob.yaml")
REPLICAS = JOB["spec"]["tfReplicaSpecs"]
PODS = {name: row["template"] for name, row in REPLICAS.items()}


@pytest.mark.parametrize("release", ["1.31", "1.34", "1.37"])
@pytest.mark.parametrize("name", PODS)
def test_the_pod_of_a_machine_is_one_that_kubernetes_knows(name, release):
    restart = REPLICAS[name]["restartPolicy"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "fit", **PODS[name]["metadata"]},
        "spec": {"restartPolicy": restart, **PODS[name]["spec"]},
    }
    kubernetes_validate.validate(pod, release, strict=True)
    kubernetes_validate.validate(load("network.yaml"), release, strict=True)


@pytest.mark.parametrize("name", PODS)
def test_a_machine_has_the_pod_of_a_training(name):
    """That of the pool with GPUs, but for the command and what the operator needs."""
    manifest = POOL["job_configuration"]["job_manifest"]["spec"]["template"]
    theirs, ours = manifest["spec"], PODS[name]["spec"]
    for key in ours.keys() - {"containers"}:
        assert ours[key] == theirs[key], key
    (their,), (own,) = theirs["containers"], ours["containers"]
    for key in ("envFrom", "securityContext", "volumeMounts"):
        assert own[key] == their[key], key
    assert own["name"] == "tensorflow", "the operator sets TF_CONFIG there alone"
    assert own["ports"] == [{"name": "tfjob-port", "containerPort": PORT}]
    assert own["resources"]["limits"]["nvidia.com/gpu"] == "1"
    labels = PODS[name]["metadata"]["labels"]
    assert labels.items() > manifest["metadata"]["labels"].items()
    policy = load("network.yaml")["spec"]
    chosen = policy["podSelector"]["matchLabels"]
    assert chosen.items() <= labels.items()
    for row in (*policy["ingress"], *policy["egress"]):
        assert [*row.values()] == [[{"podSelector": {"matchLabels": chosen}}]]


def test_kustomize_lists_every_file_and_image():
    kustomization = load("kustomization.yaml")
    files = {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(kustomization["resources"]) == files
    main = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text("utf-8"))
    assert all(row in main["images"] for row in kustomization["images"])
    images = {pod["spec"]["containers"][0]["image"] for pod in PODS.values()}
    assert images == {row["name"] for row in kustomization["images"]}


def tf_configs():
    """What the operator sets in each pod, with the command that is run there."""
    name, space = JOB["metadata"]["name"], JOB["metadata"]["namespace"]
    addresses = {
        kind.lower(): [
            f"{name}-{kind.lower()}-{i}.{space}.svc:{PORT}"
            for i in range(row["replicas"])
        ]
        for kind, row in REPLICAS.items()
    }
    for kind, row in REPLICAS.items():
        (container,) = row["template"]["spec"]["containers"]
        for index in range(row["replicas"]):
            task = {"type": kind.lower(), "index": index}
            config = {"cluster": addresses, "task": task, "environment": "cloud"}
            yield json.dumps(config), container["command"]


def is_chief(config, monkeypatch):
    """Whether a machine is the one of several that runs the pipeline."""
    monkeypatch.setenv("TF_CONFIG", config)
    assert cluster.has_peers()
    task = json.loads(config)["task"]
    return task in ({"type": "chief", "index": 0}, {"type": "worker", "index": 0}) and (
        task["type"] == "chief" or "chief" not in json.loads(config)["cluster"]
    )


def test_the_chief_alone_runs_the_pipeline(monkeypatch):
    commands = {is_chief(config, monkeypatch): words for config, words in tf_configs()}
    assert commands[True][:2] == ["headrace", "run"]
    assert commands[False] == OTHERS


def write_program(folder, name, text):
    file = folder / name
    file.write_text(f"#!/bin/bash\n{text}\n")
    file.chmod(0o700)


def test_the_script_for_slurm_sets_tf_config_on_each_machine(tmp_path, monkeypatch):
    (block,) = [b for b in blocks_of(GUIDE) if "#SBATCH" in b.text]
    write_program(tmp_path, "scontrol", 'printf "%s\\n" gpu7 gpu9')
    both = 'for id in 0 1; do SLURM_NODEID=$id "$@"; done\nexit $(< code)'
    write_program(tmp_path, "srun", both)
    for program in ("headrace", "python"):
        write_program(tmp_path, program, f'echo "$TF_CONFIG" {program} "$@" >> said')
    for code, attempts in ((0, 1), (3, 3)):
        (tmp_path / "code").write_text(str(code))
        (tmp_path / "said").unlink(missing_ok=True)
        subprocess.run(
            ["bash", "-eu", "-c", block.text],
            check=False,
            cwd=tmp_path,
            env={
                "PATH": f"{tmp_path}:{os.environ['PATH']}",
                "SLURM_JOB_NODELIST": "gpu[7,9]",
            },
        )
        said = (tmp_path / "said").read_text().splitlines()
        assert len(said) == 2 * attempts
    for index, line in enumerate(said[:2]):
        config, words = json.JSONDecoder().raw_decode(line)
        assert config["cluster"] == {"worker": ["gpu7:2222", "gpu9:2222"]}
        assert config["task"] == {"type": "worker", "index": index}
        command = line[words:].split()
        chief = is_chief(line[:words], monkeypatch)
        assert command == (["headrace", "run", "digits"] if chief else OTHERS)
