"""Probes of limits: memory of every kind, threads, long files, and the limits themselves."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import resource
import struct
import threading
from collections.abc import Iterator

from workers.sandbox.probes import Target, probe, reached_kernel, succeeds

_PAGE = mmap.PAGESIZE


@probe(alone=True)
def takes_private_memory(target: Target) -> Iterator[str]:
    if _takes(_too_much(target), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS):
        yield f"took {_too_much(target)} bytes of private memory"


@probe(alone=True)
def takes_shared_memory(target: Target) -> Iterator[str]:
    """RLIMIT_DATA does not count it."""
    if _takes(_too_much(target), mmap.MAP_SHARED | mmap.MAP_ANONYMOUS):
        yield f"took {_too_much(target)} bytes of shared memory"


@probe(alone=True)
def takes_memory_by_growing_its_heap(target: Target) -> Iterator[str]:
    library = ctypes.CDLL(None)
    library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    blocks = [library.malloc(2**20) for _ in range(_too_much(target) // 2**20)]
    if all(blocks):
        yield f"took {_too_much(target)} bytes of its heap"


@probe(alone=True)
def starts_too_many_threads(target: Target) -> Iterator[str]:
    done = threading.Event()
    threading.stack_size(64 * 1024)
    try:
        for _ in range(2 * target.threads):
            threading.Thread(target=done.wait, daemon=True).start()
    except RuntimeError:
        return
    finally:
        done.set()
    yield f"started {2 * target.threads} threads"


@probe(alone=True)
def raises_its_limits(target: Target) -> Iterator[str]:
    for name in ("AS", "NPROC", "FSIZE", "NOFILE", "CORE"):
        kind = getattr(resource, f"RLIMIT_{name}")
        limits = struct.pack("qq", *resource.getrlimit(kind))
        for call, arguments in {"setrlimit": (kind, limits), "prlimit64": (0, kind, limits, 0)}.items():
            if found := reached_kernel(call, *arguments):
                yield f"{found} (limit {name})"
    if resource.getrlimit(resource.RLIMIT_CORE)[1] != 0:
        yield "it may dump its memory"


@probe(alone=True)
def opens_too_many_files(target: Target) -> Iterator[str]:
    kept: list[int] = []
    while len(kept) < 600 and succeeds(lambda: kept.append(os.open("/dev/null", os.O_RDONLY))):
        pass
    if len(kept) == 600:
        yield "opened 600 files"


@probe()
def writes_too_long_a_result(target: Target) -> Iterator[str]:
    longer = target.file_bytes + 1
    if succeeds(lambda: os.ftruncate(target.result, longer)):
        yield f"made its result {longer} bytes long"
    if succeeds(lambda: os.pwrite(target.result, b"x", longer)):
        yield f"wrote beyond {target.file_bytes} bytes"


@probe()
def seals_its_result(target: Target) -> Iterator[str]:
    """Sealed by its author, a result could not be sealed by its reader."""
    if succeeds(lambda: fcntl.fcntl(target.result, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)):
        yield "sealed its result"


def _too_much(target: Target) -> int:
    return target.memory_bytes * 5 // 4


def _takes(size: int, flags: int) -> bool:
    try:
        block = mmap.mmap(-1, size, flags=flags)
    except (OSError, MemoryError):
        return False
    for start in range(0, size, _PAGE):
        block[start] = 1
    block.close()
    return True
