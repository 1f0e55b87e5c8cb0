"""Probes of communication: no socket, no shared memory, no queue, no key; nothing to leave bytes in."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from functools import partial

from workers.sandbox.probes import Target, probe, reached_kernel, succeeds

_FAMILIES = range(46)
_PRIVATE, _CREATE = 0, 0o1600


@probe()
def opens_sockets(target: Target) -> Iterator[str]:
    """Of every family; a kind that the kernel does not know would have reached it."""
    for family in _FAMILIES:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
            if found := reached_kernel("socket", family, kind, 0):
                yield f"{found} (family {family}, kind {int(kind)})"


@probe()
def uses_sockets(target: Target) -> Iterator[str]:
    for name in (
        *("connect", "bind", "listen", "accept", "accept4", "sendto", "sendmsg", "sendmmsg", "recvfrom"),
        *("recvmsg", "recvmmsg", "socketpair", "shutdown", "setsockopt", "getsockopt", "getpeername"),
    ):
        if found := reached_kernel(name, -1, 0, 0, 0, 0, 0):
            yield found


@probe()
def connects_to_the_supervisor(target: Target) -> Iterator[str]:
    if succeeds(partial(socket.create_connection, ("127.0.0.1", target.port), 1)):
        yield f"connected to port {target.port}"


@probe()
def uses_shared_memory_and_queues(target: Target) -> Iterator[str]:
    for name, arguments in {
        "shmget": (_PRIVATE, 4096, _CREATE),
        "shmat": (-1, 0, 0),
        "shmctl": (-1, 0, 0),
        "semget": (_PRIVATE, 1, _CREATE),
        "semop": (-1, 0, 1),
        "semctl": (-1, 0, 0),
        "msgget": (_PRIVATE, _CREATE),
        "msgsnd": (-1, 0, 0, 0),
        "msgrcv": (-1, 0, 0, 0, 0),
        "mq_open": (b"/probe", 0, 0, 0),
        "mq_unlink": (b"probe",),
    }.items():
        if found := reached_kernel(name, *arguments):
            yield found


@probe()
def uses_keys(target: Target) -> Iterator[str]:
    for name, arguments in {
        "add_key": (0, 0, 0, 0, -1),
        "request_key": (0, 0, 0, -1),
        "keyctl": (0, -1, 0, 0, 0),
    }.items():
        if found := reached_kernel(name, *arguments):
            yield found


@probe()
def watches_files(target: Target) -> Iterator[str]:
    """Also through the page cache: which pages of a library has an earlier process read?"""
    for name, arguments in {
        "mincore": (-1, 0, 0),
        "preadv2": (-1, 0, 0, 0, 0, 8),
        "cachestat": (-1, 0, 0, 0),
        "inotify_init1": (0,),
        "fanotify_init": (0x200, 0),
        "signalfd4": (-1, bytes(8), 8, 0),
        "timerfd_create": (1, 0),
        "splice": (-1, 0, -1, 0, 0, 0),
        "vmsplice": (-1, 0, 0, 0),
        "copy_file_range": (-1, 0, -1, 0, 0, 0),
        "sendfile": (-1, -1, 0, 0),
        "flock": (-1, 1),
    }.items():
        if found := reached_kernel(name, *arguments):
            yield found


@probe()
def uses_a_terminal(target: Target) -> Iterator[str]:
    """TIOCSTI types into a terminal, and FIONREAD is one of few requests that remain."""
    ours, theirs = os.pipe()
    for request in (0x5412, 0x541C, 0x540E, 0x5402, 0x8904):
        if found := reached_kernel("ioctl", ours, request, 0):
            yield f"{found} (request {request:#x})"
    os.close(ours)
    os.close(theirs)
