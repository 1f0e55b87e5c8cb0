"""Namespaces: a root of its own, no network, its own processes and IPC. Used by `walled` only.

Decisions:
    * Root unshares by right; another user does it inside a user namespace, where the host allows one.
    * The process continues as process 1 of its namespace. The process outside waits and ends as it ends.
    * The root is an empty tmpfs with read-only binds of what the policy names; nothing of the old root stays
      mounted.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
from pathlib import Path
from typing import NoReturn

from workers.sandbox.kernel import SandboxError, call
from workers.sandbox.limits import close_descriptors
from workers.sandbox.policy import Policy

_MOUNTS, _CGROUPS, _HOST_NAME, _IPC = 0x20000, 0x2000000, 0x4000000, 0x8000000
_USERS, _PROCESSES, _NETWORK = 0x10000000, 0x20000000, 0x40000000
_READ_ONLY, _NO_SETUID, _NO_DEVICES, _NO_EXEC = 1, 2, 4, 8
_BIND, _RECURSIVE, _PRIVATE = 4096, 16384, 1 << 18
_HERE, _WHOLE_TREE, _DETACH = -100, 0x8000, 2
_SCAFFOLD, _OLD = "/tmp", "/old"  # noqa: S108 - a mount point in a namespace of its own
_PDEATHSIG = 1


def unshare() -> bool:
    """Enter new namespaces; returns whether a user namespace is among them.

    Raises:
        SandboxError: the host allows none.
    """
    spaces = _MOUNTS | _PROCESSES | _NETWORK | _IPC | _HOST_NAME | _CGROUPS
    user, group = os.geteuid(), os.getegid()
    if user == 0:
        try:
            call("unshare", spaces)
        except SandboxError:
            pass  # root without CAP_SYS_ADMIN, as in a container: it needs a user namespace as well
        else:
            return False
    call("unshare", _USERS | spaces, purpose="user namespace")
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        try:
            Path("/proc/self", name).write_text(text)
        except OSError as error:  # AppArmor forbids it from Ubuntu 24.04 on
            raise SandboxError(error.errno, f"user namespace: cannot write {name}") from error
    return True


def become_first_process() -> int:
    """Continue as process 1 of the new namespace; the process outside waits and ends in the same way.

    Returns:
        A descriptor that reports the end of the process outside, for `check_parent`.
    """
    alive, held = os.pipe()
    child = os.fork()
    if child:
        _wait_for(child, held)
    os.close(held)
    return alive


def check_parent(alive: int) -> None:
    """Close the descriptor of `become_first_process`; without the process outside, end.

    It may have ended before this process asked to end with it.
    """
    ready, _, _ = select.select([alive], [], [], 0)
    os.close(alive)
    if ready:
        os._exit(1)


def die_with_parent() -> None:
    """Let the kernel kill this process when its parent ends.

    The kernel forgets it when a process changes its user or its capabilities, so it comes after both.
    """
    call("prctl", _PDEATHSIG, signal.SIGKILL, 0, 0, 0, purpose="parent death signal")


def enter_own_root(policy: Policy) -> None:
    """Replace the root by one that holds what the policy names.

    Raises:
        SandboxError: the host refuses a mount.
    """
    roots, links = policy.roots, policy.links  # as they are in the old root
    socket.sethostname("sandbox")
    _mount("none", "/", flags=_RECURSIVE | _PRIVATE)
    _mount("tmpfs", _SCAFFOLD, "tmpfs", _NO_SETUID | _NO_DEVICES, "size=4m,mode=0755")
    Path(_SCAFFOLD + _OLD).mkdir()
    call("pivot_root", _SCAFFOLD.encode(), (_SCAFFOLD + _OLD).encode())
    os.chdir("/")
    for path in roots:
        _bind(path, _READ_ONLY | _NO_SETUID | _NO_DEVICES)
    for path in policy.devices:
        _bind(path, _NO_SETUID)
    for path in policy.hidden:
        if path.is_dir():
            _mount("tmpfs", str(path), "tmpfs", _READ_ONLY | _NO_SETUID | _NO_DEVICES, "size=4k,mode=0755")
    for link, path in links.items():
        if not link.exists():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)
    Path("/proc").mkdir()
    _mount("proc", "/proc", "proc", _NO_SETUID | _NO_DEVICES | _NO_EXEC)
    call("umount2", _OLD.encode(), _DETACH, purpose="unmount the old root")
    Path(_OLD).rmdir()
    _set_attributes("/", _READ_ONLY | _NO_SETUID, 0)


def _wait_for(child: int, held: int) -> NoReturn:
    """Wait for the process inside, which ends with this one."""
    die_with_parent()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    close_descriptors([held])
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status < 0:
        if -status != signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status if status >= 0 else 128 - status)


def _mount(source: str, target: str, kind: str | None = None, flags: int = 0, options: str = "") -> None:
    named = None if kind is None else kind.encode()
    call("mount", source.encode(), target.encode(), named, flags, options.encode(), purpose=f"mount {target}")


def _set_attributes(path: str, attributes: int, scope: int) -> None:
    value = struct.pack("=4Q", attributes, 0, 0, 0)
    call(
        "mount_setattr", _HERE, path.encode(), scope, value, len(value), purpose=f"mount attributes of {path}"
    )


def _bind(path: Path, attributes: int) -> None:
    source = Path(f"{_OLD}{path}")
    if source.is_dir():
        path.mkdir(parents=True, exist_ok=True)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    _mount(str(source), str(path), flags=_BIND | _RECURSIVE)
    _set_attributes(str(path), attributes, _WHOLE_TREE)
