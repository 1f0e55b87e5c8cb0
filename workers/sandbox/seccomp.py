"""seccomp: the system calls that a Python process with PyTorch needs; every other one is refused.

Decisions:
    * A refused call returns EPERM, so that a library that wants too much reports it. A call in the numbering
      of another architecture (x32, i386) kills the process: the filter does not know its name.
    * Calls that can reach other processes are limited by their arguments to this process.
    * mincore is refused: it reports to the owner of a file which pages an earlier process has read.
    * On a CPU there is no memfd_create: files in memory escape the limit on memory.
    * clone3 returns ENOSYS: its flags are in memory, where a filter cannot look. glibc then uses clone.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator

from workers.sandbox.kernel import SandboxError, libseccomp
from workers.sandbox.policy import Policy

ALLOWED = frozenset(
    """
    read write readv writev pread64 pwrite64 preadv pwritev lseek close close_range dup dup2 dup3 pipe pipe2
    poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait eventfd eventfd2
    open openat access faccessat faccessat2 stat fstat lstat newfstatat statx statfs fstatfs
    readlink readlinkat getdents getdents64 getcwd chdir umask ftruncate
    mmap munmap mremap mprotect madvise msync brk mlock munlock get_mempolicy set_mempolicy mbind
    futex futex_waitv set_robust_list set_tid_address rseq membarrier getcpu arch_prctl
    sched_yield sched_getaffinity sched_getparam sched_getscheduler sched_get_priority_max
    sched_get_priority_min
    rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait sigaltstack restart_syscall
    clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time times getitimer setitimer
    getpid getppid gettid getuid geteuid getgid getegid getgroups getresuid getresgid getpgrp getpgid getsid
    getpriority getrusage getrlimit uname sysinfo getrandom exit exit_group
    """.split()  # noqa: SIM905 - a list literal has 118 lines
)
"""Allowed with any arguments."""

CONDITIONAL = frozenset(
    ("clone", "kill", "tgkill", "prlimit64", "sched_setaffinity", "prctl", "fcntl", "ioctl", "clone3")
)
"""Allowed with certain arguments; clone3 is refused in its own way."""

_FOR_CUDA = (
    "memfd_create",
    "bind",
    "listen",
    "accept",
    "accept4",
    "getsockname",
    "recvmsg",
    "unlink",
    "ioctl",
)

_ALLOW, _KILL_PROCESS, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_BAD_ARCHITECTURE = 2  # attribute: what happens to calls of another architecture
_EQUAL, _MASKED_EQUAL = 4, 7
_AF_UNIX = 1
_THREAD = 0x00010000
_NOT_FOR_THREADS = 0x7E02E080  # new namespaces, parents, tracing, time namespace
_PRCTL = (15, 16, 0x53564D41)  # set and get a thread's name, name memory
_FCNTL = (0, 1, 2, 3, 4, 1030, 1032, 1034)  # duplicate, flags, size of a pipe, read seals
_IOCTL = (
    0x5401,
    0x5413,
    0x541B,
    0x5421,
    0x5450,
    0x5451,
    0x802C542A,
)  # is it a terminal, bytes waiting, flags

_Condition = tuple[int, int, int, int]


class _Compare(ctypes.Structure):
    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


def restrict_system_calls(policy: Policy) -> None:
    """Confine this thread, and those it starts, for good.

    Raises:
        SandboxError: libseccomp or the kernel refuses the filter.
    """
    library = libseccomp()
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(_ERROR | errno.EPERM)))
    _check(library.seccomp_attr_set(context, _BAD_ARCHITECTURE, ctypes.c_uint32(_KILL_PROCESS)), "attribute")
    for name in sorted(ALLOWED):
        _add(context, _ALLOW, name)
    for name, condition in _conditions(policy):
        _add(context, _ALLOW, name, *condition)
    _add(context, _ERROR | errno.ENOSYS, "clone3")
    _check(library.seccomp_load(context), "load")
    library.seccomp_release(context)


def _conditions(policy: Policy) -> Iterator[tuple[str, tuple[_Condition, ...]]]:
    itself = os.getpid()
    yield "clone", ((0, _MASKED_EQUAL, _THREAD | _NOT_FOR_THREADS, _THREAD),)
    yield "kill", ((0, _EQUAL, itself, 0),)
    yield "tgkill", ((0, _EQUAL, itself, 0),)
    yield "prlimit64", ((0, _EQUAL, 0, 0), (2, _EQUAL, 0, 0))  # its own limits, reading only
    yield "sched_setaffinity", ((0, _EQUAL, 0, 0),)
    for option in _PRCTL:
        yield "prctl", ((0, _EQUAL, option, 0),)
    for command in _FCNTL:
        yield "fcntl", ((1, _EQUAL, command, 0),)
    if not policy.cuda:
        for request in _IOCTL:
            yield "ioctl", ((1, _EQUAL, request, 0),)
        return
    yield "socket", ((0, _EQUAL, _AF_UNIX, 0),)  # cuInit binds one of its own; connect stays refused
    for name in _FOR_CUDA:
        yield name, ()


def _add(context: ctypes.c_void_p, action: int, name: str, *conditions: _Condition) -> None:
    library = libseccomp()
    code = library.seccomp_syscall_resolve_name(name.encode())
    if code < 0:
        return  # this architecture does not have it
    array = (_Compare * len(conditions))(*(_Compare(*condition) for condition in conditions))
    added = library.seccomp_rule_add_array(context, ctypes.c_uint32(action), code, len(conditions), array)
    _check(added, f"rule for {name}")


def _check(result: int, what: str) -> None:
    if result < 0:
        raise SandboxError(-result, f"seccomp {what}: {os.strerror(-result)}")
