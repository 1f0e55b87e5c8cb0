"""System calls that Python does not offer, by name.

Decisions:
    * libseccomp knows the number of every system call on every architecture, so no number is written here.
    * libseccomp is loaded at the first use: the package imports where it is not installed.
"""

from __future__ import annotations

import ctypes
import errno
import os
from functools import cache

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long


class SandboxError(OSError):
    """The sandbox is not available here; nothing untrusted may run."""


@cache
def libseccomp() -> ctypes.CDLL:
    """The library of system-call filters.

    Raises:
        SandboxError: it is not installed.
    """
    try:
        library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    except OSError as error:
        raise SandboxError(errno.ENOENT, "libseccomp.so.2 is not installed (Debian: libseccomp2)") from error
    library.seccomp_init.restype = ctypes.c_void_p
    return library


@cache
def number(name: str) -> int | None:
    """The number of a system call on this architecture; None where it does not exist."""
    found = int(libseccomp().seccomp_syscall_resolve_name(name.encode()))
    return found if found >= 0 else None


def invoke(code: int, *arguments: int | bytes | None) -> int:
    """The result of a system call, by number; -1 sets `ctypes.get_errno()`."""
    values = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    ctypes.set_errno(0)
    return int(_LIBC.syscall(ctypes.c_long(code), *values))


def call(name: str, *arguments: int | bytes | None, purpose: str = "") -> int:
    """The result of a system call.

    Args:
        name: of the system call.
        arguments: numbers, strings or structures.
        purpose: what the call is for; appears in the error.

    Raises:
        SandboxError: the kernel refuses it.
    """
    code = number(name)
    if code is None:
        raise SandboxError(errno.ENOSYS, f"{purpose or name}: this architecture has no {name}")
    result = invoke(code, *arguments)
    if result < 0:
        reason = ctypes.get_errno()
        raise SandboxError(reason, f"{purpose or name}: {os.strerror(reason)}")
    return result
