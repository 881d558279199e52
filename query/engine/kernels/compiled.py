"""How kernels are compiled: by numba for the CPU, cached beside their files, without Python's lock.

All kernels are deterministic and work on one thread; `query.engine.threads.each` gives them parts.
"""

from numba import njit

compiled = njit(nogil=True, cache=True)
inlined = njit(nogil=True, cache=True, inline="always")
# Sums may run in vector registers, in another order; NaN and infinity keep their meaning.
summing = njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"})
