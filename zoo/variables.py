"""The environment variables of this process that a worker in a family's environment gets.

A worker runs code of other people: packages, checkpoints that are unpickled. So it gets what programs need in order to
run, and no tokens, keys and passwords, as it gets none in a container. MATTERZOO_WORKER_ENV names others that it needs.
"""

from __future__ import annotations

import os
import re
from fnmatch import fnmatchcase

NEEDED = (
    # where programs, the home folder and temporary files are; language and time zone
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "LC_*", "TZ", "TMPDIR", "TEMP", "TMP", "XDG_*",
    # the loader's, Python's and the allocator's own
    "LD_*", "DYLD_*", "PYTHON*", "MALLOC_*",
    # how many threads, and how they wait
    "OMP_*", "GOMP_*", "KMP_*", "MKL_*", "OPENBLAS_*", "BLIS_*", "VECLIB_*", "NUMEXPR_*", "NUMBA_*",
    # accelerators and what computes with them
    "CUDA_*", "CUDNN_*", "CUBLAS_*", "NVIDIA_*", "NCCL_*", "HIP_*", "HSA_*", "ROCR_*", "ROCM_*", "MIOPEN_*",
    "TORCH*", "PYTORCH_*", "TRITON_*", "JAX_*", "XLA_*", "TF_*",
)  # fmt: skip
SECRET = re.compile(r"TOKEN|KEY|SECRET|PASSW|CREDENTIAL|AUTH")  # such as NVIDIA_API_KEY
NOT_OURS = {
    "PYTHONDONTWRITEBYTECODE"
}  # without its bytecode a large family takes 15 s longer to start


def for_worker() -> dict[str, str]:
    """Return the variables of this process that a worker gets.

    They are those whose names match NEEDED and do not look like a secret, and those that MATTERZOO_WORKER_ENV lists,
    separated by commas, `*` standing for anything: 'SITE_LICENSE,MY_CLUSTER_*'.
    """
    asked = [
        name.strip()
        for name in os.environ.get("MATTERZOO_WORKER_ENV", "").split(",")
        if name.strip()
    ]
    return {
        name: value
        for name, value in os.environ.items()
        if _is_needed(name) or _matches(name, asked)
    }


def _is_needed(name: str) -> bool:
    return _matches(name, NEEDED) and name not in NOT_OURS and SECRET.search(name.upper()) is None


def _matches(name: str, patterns: tuple[str, ...] | list[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
