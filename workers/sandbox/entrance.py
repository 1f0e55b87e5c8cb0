"""`enter(policy)`: the one way into the sandbox, for good.

Decisions:
    * The order matters. Namespaces need /proc and one thread; limits and credentials precede the filters;
      seccomp is last, because the steps before use calls that it refuses.
    * Root becomes the user 65534. Every process gives up every capability.
    * Nothing that fails is passed over: an exception leaves a process that must not run anything untrusted.
"""

from __future__ import annotations

import errno
import os
import struct
import sys
from pathlib import Path

from workers.sandbox import limits, namespaces
from workers.sandbox.kernel import SandboxError, call, libseccomp
from workers.sandbox.landlock import restrict_files
from workers.sandbox.policy import Mode, Policy
from workers.sandbox.seccomp import restrict_system_calls

NOBODY = 65534

_DUMPABLE, _NO_NEW_PRIVILEGES, _AMBIENT = 4, 38, 47
_CLEAR_ALL, _CAPABILITIES_V3 = 4, 0x20080522


def enter(policy: Policy) -> None:
    """Enter the sandbox, in a forked process with one thread.

    In `walled` the caller continues in a new child; the process it was waits and ends in the same way.

    Args:
        policy: what the process may still do.

    Raises:
        SandboxError: this machine or this process cannot enter; the message names what is missing.
    """
    try:
        _enter(policy)
    except SandboxError:
        raise
    except OSError as error:
        raise SandboxError(error.errno, f"sandbox: {error.strerror}: {error.filename or ''}") from error


def _enter(policy: Policy) -> None:
    _check_process()
    libseccomp()
    limits.close_descriptors(policy.keep)
    limits.offer_to_oom_killer()
    outside, parent = None, os.getppid()
    others, becomes_nobody = limits.threads_of(os.geteuid() or NOBODY), os.geteuid() == 0
    if policy.mode is Mode.WALLED:
        if namespaces.unshare():  # a user namespace counts its own threads, and knows no other user
            others, becomes_nobody = 0, False
        outside = namespaces.become_first_process()
        namespaces.enter_own_root(policy)
    limits.clean_environment()
    _give_up_privileges(becomes_nobody=becomes_nobody)
    limits.limit_resources(policy, threads=others + policy.threads)
    _check_readable(policy)
    namespaces.die_with_parent()
    if outside is not None:
        namespaces.check_parent(outside)
    elif os.getppid() != parent:
        os._exit(1)  # it ended before this process asked to end with it
    call("prctl", _NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    restrict_files(policy)
    restrict_system_calls(policy)


def _check_process() -> None:
    threads = len([*Path("/proc/self/task").iterdir()])
    if threads != 1:
        raise SandboxError(
            errno.EBUSY, f"{threads} threads: the sandbox confines one, so it needs exactly one"
        )
    if sys.flags.hash_randomization:
        raise SandboxError(errno.EINVAL, "the interpreter randomises hashes: start it with PYTHONHASHSEED=0")


def _give_up_privileges(*, becomes_nobody: bool) -> None:
    call("prctl", _AMBIENT, _CLEAR_ALL, 0, 0, 0)
    if becomes_nobody:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        call("prctl", _DUMPABLE, 1, 0, 0, 0)  # otherwise its own /proc belongs to root
    call("capset", struct.pack("=Ii", _CAPABILITIES_V3, 0), bytes(24), purpose="drop capabilities")


def _check_readable(policy: Policy) -> None:
    for path in policy.roots:
        if not os.access(path, os.R_OK):
            raise SandboxError(
                errno.EACCES,
                f"user {os.geteuid()} cannot read {path}: install Python where every user can read it, "
                "run the worker as its owner, or use the mode walled",
            )
