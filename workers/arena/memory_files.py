"""Files in memory that pass between examiner and candidates; once sealed, no process can change them."""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

ALIGNMENT = 8
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def create(name: str) -> int:
    """The descriptor of an empty file in memory that can be sealed."""
    return os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)


def seal(descriptor: int) -> None:
    """Make the content final: no process can change it any more.

    Raises:
        OSError: it has been sealed before, or is mapped for writing.
    """
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)


def sealed(name: str, parts: Iterable[bytes | memoryview | np.ndarray[Any, Any]]) -> int:
    """The descriptor of a sealed file; every part starts at a multiple of `ALIGNMENT`."""
    descriptor = create(name)
    offset = 0
    for part in parts:
        offset = aligned(offset)
        content = part if isinstance(part, bytes | memoryview) else np.ascontiguousarray(part).data
        offset += write(descriptor, content, offset)
    seal(descriptor)
    return descriptor


def write(descriptor: int, content: bytes | memoryview, offset: int) -> int:
    """Write all of `content` at `offset`; returns its length in bytes."""
    rest = memoryview(content).cast("B") if len(content) else memoryview(b"")
    length = len(rest)
    while rest:
        written = os.pwrite(descriptor, rest, offset)
        offset, rest = offset + written, rest[written:]
    return length


def aligned(offset: int) -> int:
    """The first multiple of `ALIGNMENT` from `offset` on."""
    return -(-offset // ALIGNMENT) * ALIGNMENT


def size(descriptor: int) -> int:
    """Length of the file in bytes."""
    return os.fstat(descriptor).st_size


@contextmanager
def mapped(descriptor: int) -> Iterator[mmap.mmap | bytes]:
    """The content, read-only and without a copy."""
    if not size(descriptor):
        yield b""
        return
    with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as content:
        yield content


def private(descriptor: int) -> mmap.mmap:
    """The content as memory of this process: writes change a copy. The file is not empty."""
    return mmap.mmap(descriptor, size(descriptor), mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
