"""`Policy`: what a sandboxed process may read, use and spend.

Decisions:
    * Readable are the interpreter's libraries, its packages, system libraries and the code of the engine. The
      rest of a checkout, such as its data directory, and other environments beside this one are not.
    * scikit-learn ships the digits with their labels: its data is hidden wherever a readable tree holds it.
    * Limits on memory count from the entrance: the libraries that the process inherits map gigabytes.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import cil_core
import workers

_GIB = 2**30
_SYSTEM = ("/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib", "/lib", "/lib64", "/etc/ld.so.cache")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")
_PACKAGES = ("site-packages", "dist-packages")
_SHIPPED_DATA = ("sklearn/datasets/data", "sklearn/datasets/images", "sklearn/datasets/tests")

_CUDA_DEVICES = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset")
"""Besides `nvidiaN`: `cuInit` returns 304 from driver 570 on where nvidia-uvm-tools cannot be opened."""

_CUDA_READABLE = ("/sys", "/etc/nvidia", "/usr/local/nvidia", "/usr/local/cuda")
"""`cuInit` returns 304 without /sys."""

_CUDA_PROC = ("/proc/driver/nvidia", "/proc/driver/nvidia-uvm")
"""Part of the process's own /proc in `walled`, so no mount shows them there."""


class Mode(StrEnum):
    """How much separates a sandboxed process from the host."""

    LOCKED = "locked"
    """Landlock, seccomp and limits; no privilege needed."""
    WALLED = "walled"
    """Namespaces and a root of its own as well."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The rights of a sandboxed process.

    Attributes:
        mode: whether namespaces come on top.
        readable: files and directories it may read and map.
        hidden: directories within `readable` that it may not read.
        devices: device files it may open for reading and writing.
        keep: descriptors that stay open besides 0, 1 and 2.
        memory_bytes: address space it may add after the entrance; None with CUDA, which reserves terabytes.
        cpu_seconds: CPU time, or None.
        file_bytes: longest file it may write through a descriptor that it inherits.
        threads: most threads.
        cuda: whether it may use what `cuInit` needs: ioctl on devices, its own sockets, names of threads.
    """

    mode: Mode
    readable: tuple[Path, ...]
    hidden: tuple[Path, ...] = ()
    devices: tuple[Path, ...] = ()
    keep: tuple[int, ...] = ()
    memory_bytes: int | None = None
    cpu_seconds: int | None = None
    file_bytes: int = _GIB
    threads: int = 256
    cuda: bool = False

    @property
    def roots(self) -> tuple[Path, ...]:
        """The readable paths without symbolic links and without paths inside others."""
        real = {path.resolve() for path in self.readable}
        return tuple(sorted(path for path in real if not real.intersection(path.parents)))

    @property
    def links(self) -> dict[Path, Path]:
        """The readable paths that lead through a symbolic link, and where they lead."""
        real = {path: path.resolve() for path in self.readable}
        return {path: target for path, target in real.items() if path != target}


def default_policy(
    mode: Mode,
    *,
    keep: Iterable[int] = (),
    memory_bytes: int | None = None,
    cpu_seconds: int | None = None,
    file_bytes: int = _GIB,
) -> Policy:
    """The policy for a CPU.

    Args:
        mode: whether namespaces come on top.
        keep: descriptors that stay open besides 0, 1 and 2.
        memory_bytes: address space it may add after the entrance.
        cpu_seconds: CPU time.
        file_bytes: longest file it may write through a descriptor that it inherits.
    """
    readable = _readable()
    return Policy(
        mode,
        readable=readable,
        hidden=_shipped_data(readable),
        devices=tuple(Path(name) for name in _DEVICES),
        keep=tuple(keep),
        memory_bytes=memory_bytes,
        cpu_seconds=cpu_seconds,
        file_bytes=file_bytes,
    )


def with_cuda(policy: Policy, index: int) -> Policy:
    """The same policy with one GPU. Experimental: no CUDA device has run it yet.

    Args:
        policy: for a CPU.
        index: of the GPU, as in /dev/nvidiaN.
    """
    devices = [Path("/dev", name) for name in (f"nvidia{index}", *_CUDA_DEVICES)]
    names = (*_CUDA_READABLE, *(_CUDA_PROC if policy.mode is Mode.LOCKED else ()))
    return replace(
        policy,
        devices=(*policy.devices, *(path for path in devices if path.exists())),
        readable=(*policy.readable, *(path for path in map(Path, names) if path.exists())),
        memory_bytes=None,
        cuda=True,
    )


def _readable() -> tuple[Path, ...]:
    code = {Path(package.__path__[0]) for package in (cil_core, workers)}
    libraries = {Path(prefix, name) for prefix in (sys.prefix, sys.base_prefix) for name in ("lib", "lib64")}
    packages = {
        Path(entry) for entry in sys.path if Path(entry).name in _PACKAGES
    }  # those of the user as well
    wanted = {*code, *libraries, *packages, Path(sysconfig.get_path("stdlib")), *map(Path, _SYSTEM)}
    return tuple(sorted(path for path in wanted if path.exists()))


def _shipped_data(readable: Iterable[Path]) -> tuple[Path, ...]:
    """The data directories of scikit-learn in every installation that a readable tree holds."""
    real = {path.resolve() for path in readable}
    installed = {place for path in real for name in _PACKAGES for place in path.glob(f"python3*/{name}")}
    found = {(place / name).resolve() for place in real | installed for name in _SHIPPED_DATA}
    return tuple(sorted(path for path in found if path.is_dir()))
