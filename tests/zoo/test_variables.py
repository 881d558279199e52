"""What a worker in a local environment gets of this process's variables."""

from __future__ import annotations

import pytest

from zoo.variables import worker_variables
from zoo.verify.environment import environment_variables


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("PATH", True),
        ("LC_ALL", True),
        ("LD_LIBRARY_PATH", True),
        ("CUDA_VISIBLE_DEVICES", True),
        ("TORCHINDUCTOR_CACHE_DIR", True),
        ("XDG_CACHE_HOME", True),
        ("PYTHONDONTWRITEBYTECODE", False),
        ("NVIDIA_API_KEY", False),
        ("HF_TOKEN", False),
        ("MATTERZOO_STORE", False),
        ("SITE_LICENSE", False),
    ],
)
def test_what_programs_need_and_no_secret(
    name: str, given: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MATTERZOO_WORKER_ENV", raising=False)
    monkeypatch.setenv(name, "something")
    assert (worker_variables().get(name) == "something") == given
    assert (environment_variables().get(name) == "something") == given  # of `matterzoo check`, too


def test_others_are_given_where_they_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SITE_LICENSE", "1")
    monkeypatch.setenv("CLUSTER_KEY", "2")
    monkeypatch.setenv("CLUSTERS", "3")
    monkeypatch.setenv("MATTERZOO_WORKER_ENV", " SITE_LICENSE, CLUSTER_*,")
    assert worker_variables().items() >= {"SITE_LICENSE": "1", "CLUSTER_KEY": "2"}.items()
    assert "CLUSTERS" not in worker_variables()
