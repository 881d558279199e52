"""docs/kuberay.yaml has fields that KubeRay knows, and a command that matterzoo takes.

The fields below are those of the RayJob that we use, written from its definition. That one has 1.4
MB, and no package carries it; the manifest was validated against it by hand (August 2026).
"""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
from ruamel.yaml import YAML

from matterzoo import main
from zoo.places import ROOT

# A dict has these fields and no others, a list such elements; else it is the type of a value.
PLACES = [{"name": str, "value": str}]
QUANTITIES = {"cpu": str, "memory": str, "nvidia.com/gpu": str}
CONTAINER = {
    "name": str,
    "image": str,
    "env": PLACES,
    "volumeMounts": [{"name": str, "mountPath": str}],
    "resources": {"requests": QUANTITIES, "limits": QUANTITIES},
}
VOLUMES = [{"name": str, "persistentVolumeClaim": {"claimName": str}}]
TEMPLATE = {"spec": {"containers": [CONTAINER], "volumes": VOLUMES}}
CLUSTER = {
    "rayVersion": str,
    "authOptions": {"mode": str, "secretName": str},
    "headGroupSpec": {"rayStartParams": {"num-cpus": str}, "template": TEMPLATE},
    "workerGroupSpecs": [
        {
            "groupName": str,
            "replicas": int,
            "minReplicas": int,
            "maxReplicas": int,
            "rayStartParams": {},
            "template": TEMPLATE,
        }
    ],
}
RAY_JOB = {
    "apiVersion": str,
    "kind": str,
    "metadata": {"name": str, "namespace": str},
    "spec": {
        "entrypoint": str,
        "submissionMode": str,
        "shutdownAfterJobFinishes": bool,
        "ttlSecondsAfterFinished": int,
        "backoffLimit": int,
        "rayClusterSpec": CLUSTER,
    },
}


def faults(found: Any, known: Any, at: str = "") -> list[str]:
    """Return what of a document has another form than is known."""
    if isinstance(known, dict) and isinstance(found, dict):
        unknown = [f"{at}.{name} is unknown" for name in found.keys() - known.keys()]
        both = found.keys() & known.keys()
        return unknown + [f for n in both for f in faults(found[n], known[n], f"{at}.{n}")]
    if isinstance(known, list) and isinstance(found, list):
        return [fault for each in found for fault in faults(each, known[0], f"{at}[]")]
    right = isinstance(known, type) and type(found) is known
    return [] if right else [f"{at} is {found!r}"]


@pytest.fixture(scope="module")
def job() -> Any:
    return YAML(typ="safe").load(ROOT / "docs" / "kuberay.yaml")


def test_every_field_is_one_of_kuberay(job: Any) -> None:
    assert faults(job, RAY_JOB) == []
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    wrong = {"spec": {"rayClusterSpec": {"headGroupSpec": {"replica": 1}}, "backoffLimit": "2"}}
    assert sorted(faults(wrong, RAY_JOB)) == [
        ".spec.backoffLimit is '2'",
        ".spec.rayClusterSpec.headGroupSpec.replica is unknown",
    ]


def test_the_cluster_asks_for_a_token_and_is_of_the_version_that_is_locked(job: Any) -> None:
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    (locked,) = re.findall(r"^ray==(.+)$", (ROOT / "requirements.lock").read_text(), re.M)
    assert cluster["rayVersion"] == locked


def test_head_and_workers_see_the_same_files(job: Any) -> None:
    cluster = job["spec"]["rayClusterSpec"]
    pods = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    seen = []
    for spec in (pod["template"]["spec"] for pod in pods):
        (container,) = spec["containers"]
        (mount,) = container["volumeMounts"]
        assert [mount["name"]] == [volume["name"] for volume in spec["volumes"]]
        places = {each["name"]: each["value"] for each in container["env"]}
        assert places.pop("MATTERZOO_TORCH_BACKEND").startswith("cu")
        assert all(place.startswith(f"{mount['mountPath']}/") for place in places.values())
        seen.append((container["image"], container["env"], mount, spec["volumes"]))
    assert seen[0] == seen[1]


def test_the_entrypoint_is_a_command_that_matterzoo_takes(
    job: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    program, command, *words = shlex.split(job["spec"]["entrypoint"])
    assert (program, command) == ("matterzoo", "ingest")
    assert main(["plan", *words, "--limit", "1000", "--store", "/nowhere/matter.duckdb"]) == 2
    assert "there is no folder /nowhere to hold the store" in capfd.readouterr().err
