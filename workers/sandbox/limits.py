"""Descriptors, resource limits and environment of a sandboxed process.

Decisions:
    * RLIMIT_AS bounds memory, because RLIMIT_DATA does not count shared anonymous memory.
    * RLIMIT_NPROC counts the threads of a whole user. In a user namespace they are those of the process; else
      the threads that the user already has are added.
    * The environment is overwritten in memory as well, where /proc/self/environ shows it.
"""

from __future__ import annotations

import ctypes
import os
import resource
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from workers.sandbox.kernel import call
from workers.sandbox.policy import Policy

_LAST_DESCRIPTOR = 2**32 - 1
_OPEN_FILES = 512
_LOCKED_BYTES = 64 * 2**20
_WORST_OOM_SCORE = "1000"
_KEPT_VARIABLES = (
    "CUDA_VISIBLE_DEVICES",
    "CUBLAS_WORKSPACE_CONFIG",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "TZ",
)
_SET_VARIABLES = {"HOME": "/", "LANG": "C.UTF-8", "PATH": "/nonexistent", "PYTHONHASHSEED": "0"}
_ENVIRONMENT = slice(47, 49)  # its start and end, in /proc/self/stat after the name


def close_descriptors(kept: Iterable[int]) -> None:
    """Close every descriptor but 0, 1, 2 and `kept`."""
    first = 0
    for descriptor in sorted({0, 1, 2, *kept}):
        if first < descriptor:
            call("close_range", first, descriptor - 1, 0)
        first = descriptor + 1
    call("close_range", first, _LAST_DESCRIPTOR, 0)


def threads_of(user: int) -> int:
    """The number of threads that a user has on this machine."""
    total = 0
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with suppress(FileNotFoundError, ProcessLookupError):
                if entry.stat().st_uid == user:
                    total += len([*Path(entry.path, "task").iterdir()])
    return total


def limit_resources(policy: Policy, *, threads: int) -> None:
    """Set the limits of the policy, which the process cannot raise again.

    Args:
        policy: names the limits.
        threads: the limit on threads, with those of others that the kernel counts.
    """
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: policy.file_bytes,
        resource.RLIMIT_MEMLOCK: _LOCKED_BYTES,
        resource.RLIMIT_NOFILE: _OPEN_FILES,
        resource.RLIMIT_NPROC: threads,
    }
    if policy.memory_bytes is not None:
        limits[resource.RLIMIT_AS] = _mapped_bytes() + policy.memory_bytes
    if policy.cpu_seconds is not None:
        limits[resource.RLIMIT_CPU] = policy.cpu_seconds
    for kind, value in limits.items():
        hard = resource.getrlimit(kind)[1]
        lower = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (lower, lower))


def offer_to_oom_killer() -> None:
    """Make this process the first that the kernel kills when memory is short."""
    Path("/proc/self/oom_score_adj").write_text(_WORST_OOM_SCORE)


def clean_environment() -> None:
    """Remove every variable that the process need not know, also from memory."""
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = map(int, fields[_ENVIRONMENT])
    os.environ.clear()
    ctypes.memset(start, 0, end - start)
    os.environ.update(_SET_VARIABLES | kept)


def _mapped_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * os.sysconf("SC_PAGE_SIZE")
