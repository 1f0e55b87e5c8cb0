"""Resumable downloads: a partial file is continued, a complete one is checked.

The bytes arrive in `<file>.part`; the file gets its name only when its checksum is the published one.
Datasets and weights share this module.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import IO, Literal, NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from cil_core.spec.errors import DataError

CHUNK_BYTES = 1 << 20
TIMEOUT_SECONDS = 30
_NOTHING_LEFT = 416


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file to download.

    Args:
        url: http or https.
        checksum: as published, or the beginning of it; None if none is published.
        folder: where it goes below the directory.
        algorithm: of the checksum.
        name: of the file; by default the last part of its address.
    """

    url: str
    checksum: str | None
    folder: str = ""
    algorithm: Literal["md5", "sha256"] = "md5"
    name: str = ""

    def path(self, root: Path) -> Path:
        """Path of the complete file."""
        return root / self.folder / (self.name or self.url.rpartition("/")[2])


class Progress(NamedTuple):
    """Progress of a download or a decoding; `total` is None where the server does not say."""

    file: str
    done: int
    total: int | None
    unit: Literal["bytes", "images"] = "bytes"


def download(remote: RemoteFile, root: Path) -> Iterator[Progress]:
    """Fetch a file if it is missing.

    Resumes an interrupted download, and continues for as long as bytes keep arriving.

    Raises:
        DataError: the host cannot be reached, the disk is full, or the file has another checksum.
    """
    path = remote.path(root)
    if path.exists():
        _check(path, remote)
        return
    part = path.with_name(path.name + ".part")
    arrived = _size(part)
    while True:
        try:
            part.parent.mkdir(parents=True, exist_ok=True)
            yield from _resume(remote, part)
            break
        except HTTPError as error:
            if error.code != _NOTHING_LEFT:
                raise _unreachable(remote, path, error) from error
            break
        except (OSError, HTTPException) as error:
            if _size(part) <= arrived:
                raise _unreachable(remote, path, error) from error
            arrived = _size(part)
    _check(part, remote)
    part.rename(path)


def _resume(remote: RemoteFile, part: Path) -> Iterator[Progress]:
    have = _size(part)
    headers = {"User-Agent": "cil-leaderboard"} | ({"Range": f"bytes={have}-"} if have else {})
    request = Request(remote.url, headers=headers)  # noqa: S310 - only `_opened` opens it, which checks
    with _opened(request) as response:
        resumed = getattr(response, "status", 200) == 206
        done = have if resumed else 0
        length = response.headers.get("Content-Length")  # type: ignore[attr-defined]
        total = done + int(length) if length else None
        with part.open("ab" if resumed else "wb") as file:
            while chunk := response.read(CHUNK_BYTES):
                file.write(chunk)
                done += len(chunk)
                yield Progress(part.stem, done, total)
    if total is not None and done < total:
        raise ConnectionError(f"the connection ended after {done} of {total} bytes")


def _unreachable(remote: RemoteFile, path: Path, error: Exception) -> DataError:
    return DataError(
        f"cannot download {remote.url}: {error}. It may be fetched by other means and put at {path}"
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _opened(request: Request) -> IO[bytes]:
    if not request.full_url.startswith(("http://", "https://")):
        raise DataError(f"{request.full_url} is neither http nor https")
    response: IO[bytes] = urlopen(request, timeout=TIMEOUT_SECONDS)  # noqa: S310 — checked above
    return response


def _check(path: Path, remote: RemoteFile) -> None:
    """A file with another checksum is refused, and removed if it is our own partial one."""
    if remote.checksum is None:
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(
            file, lambda: hashlib.new(remote.algorithm, usedforsecurity=False)
        ).hexdigest()
    if not found.startswith(remote.checksum):
        if path.suffix == ".part":
            path.unlink()
        name = {"md5": "MD5", "sha256": "SHA-256"}[remote.algorithm]
        raise DataError(
            f"{path} is damaged: its {name} is {found}, not {remote.checksum} as published for {remote.url}"
        )
