"""Probes: attempts to get out of the sandbox, or to get more than the policy allows.

A probe is a generator function of a `Target`. It yields one sentence per attempt that succeeded; the sandbox
holds if it yields none. An attempt that the kernel refuses raises OSError or ends the process, and both count
as refused.

    files      read, write and list outside the policy
    processes  the supervisor, other processes, new processes, identity
    ipc        sockets, shared memory, queues, keys
    system     system calls that change the machine, and other numberings of system calls
    resources  memory, threads, files, limits

Decisions:
    * Outside a sandbox every probe yields something on Linux, and a test checks that: a probe that cannot
      succeed proves nothing.
    * Nothing is harmed where an attempt succeeds: signals have the number 0, files belong to the trial.
"""

from __future__ import annotations

import ctypes
import errno
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from workers.sandbox import kernel

GROUPS = ("files", "processes", "ipc", "system", "resources")
SECRET_VARIABLE = "CIL_TRIAL_SECRET"  # noqa: S105 - the name of a variable


@dataclass(frozen=True, slots=True)
class Target:
    """What the process outside exposes to attacks.

    Attributes:
        pid: of the process outside, which plays the supervisor.
        folder: a directory of it, with the file `secret`.
        secret: the content of the file, also at `address` in its memory.
        address: of the secret.
        descriptor: of the open file, which a process inherits.
        result: the descriptor that a process may write.
        variable: the name of an environment variable that holds the secret.
        port: where it listens on 127.0.0.1.
        digits: data files that scikit-learn ships.
        memory_bytes: what the policy lets a process add.
        file_bytes: how long the policy lets the result become.
        threads: what the policy lets a process start.
    """

    pid: int
    folder: Path
    secret: bytes
    address: int
    descriptor: int
    result: int
    variable: str
    port: int
    digits: tuple[Path, ...]
    memory_bytes: int
    file_bytes: int
    threads: int


Attempts = Callable[[Target], Iterator[str]]


@dataclass(frozen=True, slots=True)
class Probe:
    """A named probe.

    Attributes:
        name: of the function.
        attempts: the generator function.
        is_alone: whether it may end its process or exhaust it, so that no other probe shares it.
    """

    name: str
    attempts: Attempts
    is_alone: bool


_probes: dict[str, Probe] = {}


def probe(*, alone: bool = False) -> Callable[[Attempts], Attempts]:
    """Register a generator function as a probe."""

    def register(function: Attempts) -> Attempts:
        name = function.__name__
        _probes[name] = Probe(name, function, alone)
        return function

    return register


def all_probes() -> tuple[Probe, ...]:
    """Every probe, group by group."""
    for group in GROUPS:
        importlib.import_module(f"{__name__}.{group}")
    return tuple(_probes.values())


def succeeds(action: Callable[[], object]) -> bool:
    """Whether the kernel lets an action happen."""
    try:
        action()
    except OSError:
        return False
    return True


def reached_kernel(name: str, *arguments: int | bytes | None) -> str | None:
    """What a system call that the filter must refuse did instead; None if it was refused.

    An error such as EFAULT says that the kernel looked at the arguments, so the filter had let them pass.
    """
    code = kernel.number(name)
    if code is None:
        return None
    result = kernel.invoke(code, *arguments)
    reason = 0 if result >= 0 else ctypes.get_errno()
    if reason in {errno.EPERM, errno.ENOSYS}:
        return None
    return f"{name} reached the kernel: {errno.errorcode.get(reason, 'success')}"
