"""Resumable downloads: a partial file is continued, a complete one is checked.

The bytes arrive in `<file>.part`; the file gets its name only when its MD5 is the published one.
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
class Archive:
    """A file to download.

    Args:
        url: http or https.
        md5: its published checksum.
        folder: where it goes below the dataset's directory.
    """

    url: str
    md5: str
    folder: str = ""

    def path(self, root: Path) -> Path:
        """Path of the complete file."""
        return root / self.folder / self.url.rpartition("/")[2]


class Progress(NamedTuple):
    """Progress of a download or a decoding; `total` is None where the server does not say."""

    file: str
    done: int
    total: int | None
    unit: Literal["bytes", "images"] = "bytes"


def download(archive: Archive, root: Path) -> Iterator[Progress]:
    """Fetch a file if it is missing.

    Resumes an interrupted download, and continues for as long as bytes keep arriving.

    Raises:
        DataError: the host cannot be reached, the disk is full, or the file has another checksum.
    """
    path = archive.path(root)
    if path.exists():
        _check(path, archive)
        return
    part = path.with_name(path.name + ".part")
    arrived = _size(part)
    while True:
        try:
            part.parent.mkdir(parents=True, exist_ok=True)
            yield from _resume(archive, part)
            break
        except HTTPError as error:
            if error.code != _NOTHING_LEFT:
                raise _unreachable(archive, path, error) from error
            break
        except (OSError, HTTPException) as error:
            if _size(part) <= arrived:
                raise _unreachable(archive, path, error) from error
            arrived = _size(part)
    _check(part, archive)
    part.rename(path)


def _resume(archive: Archive, part: Path) -> Iterator[Progress]:
    have = _size(part)
    headers = {"User-Agent": "cil-leaderboard"} | ({"Range": f"bytes={have}-"} if have else {})
    request = Request(archive.url, headers=headers)  # noqa: S310 - an archive's URL is a constant of this code
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


def _unreachable(archive: Archive, path: Path, error: Exception) -> DataError:
    return DataError(
        f"cannot download {archive.url}: {error}. It may be fetched by other means and put at {path}"
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _opened(request: Request) -> IO[bytes]:
    if not request.full_url.startswith(("http://", "https://")):
        raise DataError(f"{request.full_url} is neither http nor https")
    response: IO[bytes] = urlopen(request, timeout=TIMEOUT_SECONDS)  # noqa: S310 — checked above
    return response


def _check(path: Path, archive: Archive) -> None:
    """A file with another checksum is refused, and removed if it is our own partial one."""
    with path.open("rb") as file:
        md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if md5 != archive.md5:
        if path.suffix == ".part":
            path.unlink()
        raise DataError(
            f"{path} is damaged: its MD5 is {md5}, not {archive.md5} as published for {archive.url}"
        )
