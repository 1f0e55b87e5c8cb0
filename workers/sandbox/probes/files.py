"""Probes of files: what is outside the policy can be neither read nor changed."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from workers.sandbox.kernel import invoke, number
from workers.sandbox.probes import Target, probe, succeeds

_ACCOUNTS = ("/etc/passwd", "/etc/hostname", "/etc/group", "/etc/shadow", "/boot", "/sys/kernel")
_PLACES = ("/tmp", "/var/tmp", "/dev/shm", "/run", "/", "/home", "/proc/self")  # noqa: S108 - must be refused
_ALLOWED_DEVICES = {"null", "zero", "random", "urandom"}


@probe()
def reads_a_secret_file(target: Target) -> Iterator[str]:
    path = target.folder / "secret"
    if succeeds(path.read_bytes):
        yield f"read {path}"
    if succeeds(lambda: os.open(path, os.O_WRONLY)):
        yield f"opened {path} for writing"


@probe()
def reads_a_secret_file_on_another_way(target: Target) -> Iterator[str]:
    """Through /proc, through `..` from a readable directory, through its own root."""
    path, up = target.folder / "secret", "/".join([".."] * 30)
    for way in (
        f"/proc/self/root{path}",
        f"/proc/self/cwd/{up}{path}",
        f"/proc/{target.pid}/root{path}",
        f"/proc/{target.pid}/fd/{target.descriptor}",
        f"/proc/self/fd/{target.descriptor}",
        f"{sys.prefix}/{up}{path}",
        f"/old{path}",
    ):
        if succeeds(Path(way).read_bytes):
            yield f"read {way}"


@probe()
def reads_an_inherited_descriptor(target: Target) -> Iterator[str]:
    if succeeds(lambda: os.pread(target.descriptor, 10, 0)):
        yield f"read descriptor {target.descriptor}"


@probe()
def reads_the_digits_of_scikit_learn(target: Target) -> Iterator[str]:
    """Training and test labels lie beside the library, under every name of its directory."""
    entries = [Path(entry) for entry in sys.path if entry]
    for path in target.digits:
        aliases = [entry.joinpath(*path.parts[-4:]) for entry in entries]
        for name in {path, *aliases, *(Path(str(alias).replace("/lib/", "/lib64/")) for alias in aliases)}:
            if succeeds(name.read_bytes):
                yield f"read {name}"


@probe()
def reads_accounts_and_system(target: Target) -> Iterator[str]:
    for name in _ACCOUNTS:
        path = Path(name)
        if succeeds(path.read_bytes) or succeeds(partial(os.listdir, path)):
            yield f"read {name}"


@probe()
def lists_directories(target: Target) -> Iterator[str]:
    for path in ("/", "/home", "/root", "/tmp", "/etc", "/var", "/dev", "/proc", target.folder):  # noqa: S108
        if succeeds(partial(os.listdir, path)):
            yield f"listed {path}"


@probe()
def opens_devices(target: Target) -> Iterator[str]:
    names = {
        "mem",
        "kmsg",
        "port",
        "tty",
        "ptmx",
        "fuse",
        "kvm",
        "vda",
        "sda",
        "full",
        "net/tun",
        "loop-control",
    }
    if succeeds(lambda: os.listdir("/dev")):  # noqa: PTH208 - the attempt itself
        names |= {path.name for path in Path("/dev").iterdir()}
    for name in sorted(names - _ALLOWED_DEVICES):
        path = Path("/dev", name)
        if succeeds(partial(os.open, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)):
            yield f"opened {path}"


@probe()
def creates_files(target: Target) -> Iterator[str]:
    places = [*map(Path, _PLACES), Path.cwd(), Path(sys.prefix), Path(os.__file__).parent, target.folder]
    for place in places:
        path = place / f"probe-{os.getpid()}"
        if succeeds(partial(path.write_bytes, b"kept")):
            yield f"wrote {path}"
            path.unlink()
        if succeeds(partial(os.open, place, os.O_TMPFILE | os.O_WRONLY)):
            yield f"made an unnamed file in {place}"
        if succeeds(path.mkdir):
            yield f"made the directory {path}"
            path.rmdir()
        if succeeds(partial(path.symlink_to, "kept")):
            yield f"made the link {path}"
            path.unlink()
        if succeeds(partial(os.mkfifo, path)):
            yield f"made the pipe {path}"
            path.unlink()


@probe()
def changes_files(target: Target) -> Iterator[str]:
    """Names, times, modes and attributes can carry bytes as well as contents do."""
    own, library = target.folder / "own", Path(os.__file__)
    changes: dict[str, Callable[[], object]] = {
        "truncated": partial(os.truncate, own, 0),
        "changed the mode of": partial(own.chmod, 0o644),
        "changed the times of": partial(os.utime, own, (1, 1)),
        "set an attribute of": partial(os.setxattr, own, "user.probe", b"kept"),
        "locked": partial(_lock, own),
        "opened a library instead of": partial(library.open, "r+b"),
        "locked a library instead of": partial(_lock, library),
    }
    for what, change in changes.items():
        if succeeds(change):
            yield f"{what} {own}"
    if succeeds(lambda: os.link(own, own.with_name("linked"))):
        yield f"linked {own}"
        own.with_name("linked").unlink()
    if succeeds(lambda: own.rename(own.with_name("renamed"))):
        yield f"renamed {own}"
        own.with_name("renamed").rename(own)


@probe()
def changes_its_root(target: Target) -> Iterator[str]:
    for name, arguments in (("chroot", (b"/",)), ("fchdir", (0,)), ("pivot_root", (b"/", b"/"))):
        code = number(name)
        if code is not None and invoke(code, *arguments) == 0:
            yield f"{name} worked"


def _lock(path: Path) -> None:
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
