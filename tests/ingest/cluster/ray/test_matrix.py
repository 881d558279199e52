"""A matrix whose strips tasks of Ray find has the bits of one that a query computes."""

from __future__ import annotations

import pytest

from ingest.executors.slurm.strips import list_matrices
from tests.ingest.cluster.conftest import wait_for
from tests.ingest.cluster.matrices import N, ask, make
from tests.ingest.cluster.ray.conftest import Cluster, ray

pytestmark = pytest.mark.cluster


def test_a_node_of_ray_is_lost_in_the_middle(cluster: Cluster) -> None:
    line = make(cluster.layout.store)
    with cluster.start(*line, "--on", "ray", "--nodes", "2") as process:
        wait_for(lambda: list_matrices(cluster.layout))
        (jobs,) = list_matrices(cluster.layout)
        wait_for(lambda: jobs.found > 0)
        ray("node-kill", str(cluster.folder), "n2")
        try:
            said = process.communicate(timeout=300)[0]
        finally:
            ray("node-start", str(cluster.folder), "n2")
    assert process.returncode == 0, said
    assert "2 nodes, 2 CPUs" in said
    assert f"matrix {jobs.key} is kept: 18 rows" in said
    found, products = ask(cluster.layout.store)
    assert products == 0
    assert {row.n for row in found} == {N}
    (jobs.layout.matrices / f"{jobs.key}.parquet").unlink()
    local, products = ask(cluster.layout.store)
    assert products > 0
    assert found == local
