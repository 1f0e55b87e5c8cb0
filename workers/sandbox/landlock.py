"""Landlock: the kernel's list of files that a process may use. Needs no privilege.

Decisions:
    * A rule only adds rights, so a hidden directory is left out by rules for everything beside it. Symbolic
      links are skipped there: `lib64 -> lib` would lead around the hole.
    * Rules are made after the fork: the rule for /proc names the directory of this very process.
    * Before ABI 3 (Linux 6.2) truncating could not be forbidden. `walled` accepts ABI 1, because its root is
      read-only.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Iterator

from workers.sandbox.kernel import SandboxError, call
from workers.sandbox.policy import Mode, Policy

_VERSION_FLAG, _PATH_RULE = 1, 1
_EXECUTE, _WRITE, _READ, _LIST = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REFER, _TRUNCATE, _IOCTL = 1 << 13, 1 << 14, 1 << 15
_UP_TO_ABI_1 = (1 << 13) - 1
_TCP, _SCOPES = 0b11, 0b11  # bind and connect; abstract sockets and signals
_NEEDED = {Mode.LOCKED: 3, Mode.WALLED: 1}


def abi() -> int:
    """The version of Landlock in this kernel; 0 without it."""
    try:
        return call("landlock_create_ruleset", None, 0, _VERSION_FLAG)
    except SandboxError:
        return 0


def restrict_files(policy: Policy) -> None:
    """Confine this thread, and those it starts, to the files of the policy.

    Raises:
        SandboxError: this kernel has no Landlock, or an older one than the mode needs.
    """
    version = abi()
    if version < _NEEDED[policy.mode]:
        raise SandboxError(
            errno.ENOSYS,
            f"Landlock has ABI {version} here, and {policy.mode} needs {_NEEDED[policy.mode]} "
            "(Linux 6.2 has 3; see `lsm=` on the kernel's command line)",
        )
    attributes = _attributes(version)
    ruleset = call("landlock_create_ruleset", attributes, len(attributes), 0)
    try:
        for path, rights in _rules(policy):
            _allow(ruleset, path, rights & _files(version))
        call("landlock_restrict_self", ruleset, 0)
    finally:
        os.close(ruleset)


def _files(version: int) -> int:
    newer = ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL))
    return _UP_TO_ABI_1 | sum(right for since, right in newer if version >= since)


def _attributes(version: int) -> bytes:
    """What is refused unless a rule allows it; the length grows with the version."""
    values = [_files(version)]
    if version >= 4:
        values.append(_TCP)
    if version >= 6:
        values.append(_SCOPES)
    return struct.pack(f"={len(values)}Q", *values)


def _rules(policy: Policy) -> Iterator[tuple[str, int]]:
    hidden = policy.hidden if policy.mode is Mode.LOCKED else ()  # walled: an empty directory covers it
    for root in policy.roots:
        yield from _around(os.fspath(root), tuple(map(os.fspath, hidden)))
    for device in policy.devices:
        yield os.fspath(device), _READ | _WRITE | _TRUNCATE | _IOCTL
    # CUDA writes the names of its threads. A process that may write could take back its oom_score_adj.
    yield f"/proc/{os.getpid()}", _READ | _LIST | (_WRITE | _TRUNCATE if policy.cuda else 0)


def _around(path: str, hidden: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    """Rules for a tree without what is hidden in it; text, because there are hundreds."""
    if path in hidden:
        return
    inside = tuple(hole for hole in hidden if hole.startswith(f"{path}/"))
    if not inside:
        yield path, _READ | _LIST | _EXECUTE
        return
    yield path, _LIST  # Python lists a directory before it imports from it
    with os.scandir(path) as children:
        for child in children:
            if not child.is_symlink():
                yield from _around(child.path, inside)


def _allow(ruleset: int, path: str, rights: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= ~_LIST
        rule = struct.pack("=Qi", rights, descriptor)
        call("landlock_add_rule", ruleset, _PATH_RULE, rule, 0, purpose=f"Landlock rule for {path}")
    finally:
        os.close(descriptor)
