"""Probes of processes: the supervisor is out of reach, and a process stays one process of one user."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import struct
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from workers.sandbox.kernel import invoke, number
from workers.sandbox.probes import Target, probe, reached_kernel, succeeds

_PTRACE_SEIZE, _PTRACE_ATTACH, _PTRACE_TRACE_ME = 0x4206, 16, 0
_SIGCHLD = 17
_NAMESPACES = {
    "mount": 0x20000,
    "user": 0x10000000,
    "process": 0x20000000,
    "network": 0x40000000,
}
_PRCTL = {
    "a parent death signal of its choice": (1, 0),
    "dumpable": (4, 0),
    "keep capabilities": (8, 1),
    "seccomp": (22, 99),
    "secure bits": (28, 0),
    "no tracing": (0x59616D61, -1),
    "its memory map": (35, 1),
    "a subreaper": (36, 1),
    "speculation": (53, 0),
    "timestamps": (26, 1),
}


@probe()
def reads_the_supervisor_in_proc(target: Target) -> Iterator[str]:
    for name in ("environ", "maps", "mem", "cmdline", "status", "stack", "auxv", "syscall"):
        if succeeds(partial(os.open, f"/proc/{target.pid}/{name}", os.O_RDONLY)):
            yield f"opened {name} of the supervisor"
    for name in ("cwd", "exe", "root", f"fd/{target.descriptor}", "ns/net"):
        if succeeds(partial(os.readlink, f"/proc/{target.pid}/{name}")):
            yield f"read the link {name} of the supervisor"
    for name in ("fd", "task", "map_files"):
        if succeeds(partial(os.listdir, f"/proc/{target.pid}/{name}")):
            yield f"listed {name} of the supervisor"


@probe()
def reads_other_processes_in_proc(target: Target) -> Iterator[str]:
    for pid in range(1, 400):
        if pid != os.getpid() and succeeds(partial(Path(f"/proc/{pid}/cmdline").read_bytes)):
            yield f"read the command line of process {pid}"
            return


@probe()
def reads_the_environment(target: Target) -> Iterator[str]:
    if target.variable in os.environ:
        yield "the variable is in os.environ"
    getenv = ctypes.CDLL(None).getenv
    getenv.restype = ctypes.c_char_p
    if getenv(target.variable.encode()):
        yield "the variable is in the C library"
    if target.secret in Path("/proc/self/environ").read_bytes():
        yield "the variable is in /proc/self/environ"


@probe()
def traces_the_supervisor(target: Target) -> Iterator[str]:
    for request in (_PTRACE_SEIZE, _PTRACE_ATTACH):
        if found := reached_kernel("ptrace", request, -target.pid, 0, 0):
            yield found
    if found := reached_kernel("kcmp", os.getpid(), target.pid, 0, 0, 0):
        yield found


@probe(alone=True)
def asks_to_be_traced(target: Target) -> Iterator[str]:
    if found := reached_kernel("ptrace", _PTRACE_TRACE_ME, 0, 0, 0):
        yield found


@probe()
def reads_the_memory_of_the_supervisor(target: Target) -> Iterator[str]:
    length = len(target.secret)
    buffer = ctypes.create_string_buffer(length)
    here = struct.pack("QQ", ctypes.addressof(buffer), length)
    there = struct.pack("QQ", target.address, length)
    for name in ("process_vm_readv", "process_vm_writev"):
        if name == "process_vm_writev":
            buffer.raw = target.secret  # if it works, nothing changes
        if found := reached_kernel(name, target.pid, here, 1, there, 1, 0):
            yield found
    for name in ("process_madvise", "process_mrelease", "move_pages", "migrate_pages"):
        if found := reached_kernel(name, target.pid, 0, 0, 0, 0, 0):
            yield found


@probe()
def opens_the_supervisor_as_a_descriptor(target: Target) -> Iterator[str]:
    for pid in (target.pid, os.getpid()):
        if found := reached_kernel("pidfd_open", pid, 0):
            yield found
    for name in ("pidfd_getfd", "pidfd_send_signal"):
        if found := reached_kernel(name, 0, target.descriptor, 0, 0):
            yield found


@probe()
def signals_others(target: Target) -> Iterator[str]:
    for pid in (target.pid, 0, -1, 1, 2, os.getppid()):
        if pid == os.getpid():
            continue
        calls: dict[str, tuple[int | bytes, ...]] = {
            "kill": (pid, 0),
            "tkill": (pid, 0),
            "tgkill": (pid, pid, 0),
            "rt_sigqueueinfo": (pid, 0, bytes(128)),
            "rt_tgsigqueueinfo": (pid, pid, 0, bytes(128)),
        }
        for name, arguments in calls.items():
            if found := reached_kernel(name, *arguments):
                yield f"{found} (process {pid})"


@probe()
def signals_others_through_a_descriptor(target: Target) -> Iterator[str]:
    """The owner of a pipe receives a signal when the pipe becomes readable."""
    ours, theirs = os.pipe()
    if succeeds(partial(fcntl.fcntl, ours, fcntl.F_SETOWN, target.pid)):
        yield "made the supervisor the owner of a pipe"
    if succeeds(partial(fcntl.fcntl, ours, 10, signal.SIGURG)):
        yield "chose the signal of a pipe"
    os.close(ours)
    os.close(theirs)


@probe()
def changes_the_supervisor(target: Target) -> Iterator[str]:
    """Its priority, its processors, its limits."""
    calls: dict[str, tuple[int | bytes, ...]] = {
        "setpriority": (0, target.pid, 0),
        "ioprio_set": (1, target.pid, 4 << 13),
        "sched_setaffinity": (target.pid, 8, struct.pack("Q", 2**63)),
        "sched_setscheduler": (target.pid, 0, struct.pack("i", 0)),
        "sched_setparam": (target.pid, struct.pack("i", 0)),
        "sched_setattr": (target.pid, 0, 0),
        "prlimit64": (target.pid, 7, 0, bytes(16)),
    }
    for name, arguments in calls.items():
        if found := reached_kernel(name, *arguments):
            yield found


@probe(alone=True)
def starts_processes(target: Target) -> Iterator[str]:
    """Each attempt that works ends its child at once."""
    for name, arguments in {
        "fork": (),
        "clone": (_SIGCHLD, 0, 0, 0, 0),
        "clone3": (struct.pack("=8Q", 0, 0, 0, 0, _SIGCHLD, 0, 0, 0), 64),
    }.items():
        code = number(name)
        if code is None:
            continue
        child = invoke(code, *arguments)
        if child == 0:
            os._exit(0)
        if child > 0:
            yield f"{name} started a process"
            os.waitpid(child, 0)


@probe(alone=True)
def starts_threads_that_are_processes(target: Target) -> Iterator[str]:
    """clone with the flags of a thread and of a namespace; without a stack the kernel refuses it."""
    thread, shared = 0x00010000, 0x00000D00  # memory, files, signal handlers
    for name, flag in _NAMESPACES.items():
        if found := reached_kernel("clone", thread | shared | flag | 0x00001000, 0, 0, 0, 0):
            yield f"{found} ({name} namespace)"


@probe(alone=True)
def executes_a_program(target: Target) -> Iterator[str]:
    """A name that does not exist: outside a sandbox the kernel reports that."""
    for name, arguments in {
        "execve": (b"/nonexistent", 0, 0),
        "execveat": (-100, b"/nonexistent", 0, 0, 0),
    }.items():
        if found := reached_kernel(name, *arguments):
            yield found


@probe()
def executes_a_file_in_memory(target: Target) -> Iterator[str]:
    if found := reached_kernel("memfd_create", b"program", 0):
        yield found
    if found := reached_kernel("memfd_secret", 0):
        yield found


@probe(alone=True)
def changes_its_identity(target: Target) -> Iterator[str]:
    for name in (
        "setuid",
        "setgid",
        "setreuid",
        "setregid",
        "setresuid",
        "setresgid",
        "setfsuid",
        "setfsgid",
    ):
        if found := reached_kernel(name, 0, 0, 0):
            yield found
    calls: dict[str, tuple[int | bytes, ...]] = {
        "setgroups": (0, 0),
        "capset": (struct.pack("Ii", 0x20080522, 0), b"\xff" * 24),
        "setsid": (),
        "setpgid": (0, 0),
    }
    for name, arguments in calls.items():
        if found := reached_kernel(name, *arguments):
            yield found
    capabilities = [line for line in Path("/proc/self/status").read_text().splitlines() if "CapEff" in line]
    if int(capabilities[0].split()[1], 16):
        yield f"it has capabilities: {capabilities[0]}"


@probe(alone=True)
def changes_how_the_kernel_treats_it(target: Target) -> Iterator[str]:
    for name, (option, value) in _PRCTL.items():
        if reached_kernel("prctl", option, value, 0, 0, 0):
            yield f"prctl set {name}"
    path = Path("/proc/self/oom_score_adj")
    if path.read_text() != "1000\n":
        yield f"its score for the out-of-memory killer is {path.read_text().strip()}"
    for name in ("oom_score_adj", "coredump_filter", "timerslack_ns", "comm"):
        if succeeds(partial(os.open, f"/proc/self/{name}", os.O_WRONLY)):
            yield f"opened /proc/self/{name} for writing"
