"""The environment variables that a worker in a local environment gets, and our own commands set.

A worker runs other people's code: packages, and checkpoints that are unpickled. So it gets what
programs need in order to run, and no tokens, keys and passwords, as it gets none in a container.
`MATTERZOO_WORKER_ENV` names other variables that it needs.
"""

from __future__ import annotations

import os
import re
from fnmatch import fnmatchcase

# The names of variables that any program may need; `*` stands for anything.
_NEEDED = (
    # where programs, the home folder and temporary files are
    *("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TEMP", "TMP", "XDG_*"),
    # language and time zone
    *("LANG", "LANGUAGE", "LC_*", "TZ"),
    # the loader's, Python's and the allocator's own
    *("LD_*", "DYLD_*", "PYTHON*", "MALLOC_*"),
    # how many threads, and how they wait
    *("OMP_*", "GOMP_*", "KMP_*", "MKL_*", "OPENBLAS_*", "BLIS_*", "VECLIB_*"),
    *("NUMEXPR_*", "NUMBA_*"),
    # accelerators and what computes with them
    *("CUDA_*", "CUDNN_*", "CUBLAS_*", "NVIDIA_*", "NCCL_*", "HIP_*", "HSA_*", "ROCR_*"),
    *("ROCM_*", "MIOPEN_*", "TORCH*", "PYTORCH_*", "TRITON_*", "JAX_*", "XLA_*", "TF_*"),
)
_SECRET = re.compile(r"TOKEN|KEY|SECRET|PASSW|CREDENTIAL|AUTH")  # such as NVIDIA_API_KEY
# OpenMP's threads spin while they wait. On a machine that does anything else as well, small batches
# then take 7 times as long (CHGNet on aflow: 38 s instead of 5 s), and metrics of few systems three
# times the processor time. It has no effect once PyTorch has been imported.
NO_SPINNING = {"OMP_WAIT_POLICY": "PASSIVE"}
# Without bytecode a large family takes 15 s longer to start.
_WITHHELD = {"PYTHONDONTWRITEBYTECODE"}


def worker_variables() -> dict[str, str]:
    """Return the variables of this process that a worker gets, by name.

    They are those that programs need and whose names do not look like a secret, and those that
    `MATTERZOO_WORKER_ENV` lists, separated by commas, with `*` for anything:
    'SITE_LICENSE,MY_CLUSTER_*'.
    """
    needed = {name: value for name, value in os.environ.items() if _is_needed(name)}
    return needed | requested_variables()


def requested_variables() -> dict[str, str]:
    """Return the variables of this process that `MATTERZOO_WORKER_ENV` lists, by name."""
    names = os.environ.get("MATTERZOO_WORKER_ENV", "").split(",")
    requested = tuple(name.strip() for name in names if name.strip())
    return {name: value for name, value in os.environ.items() if _matches(name, requested)}


def looks_secret(name: str) -> bool:
    """Return whether a variable's name looks like that of a token, a key or a password.

    Args:
        name: The variable's name.
    """
    return _SECRET.search(name.upper()) is not None


def _is_needed(name: str) -> bool:
    if name in _WITHHELD or looks_secret(name):
        return False
    return _matches(name, _NEEDED)


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
