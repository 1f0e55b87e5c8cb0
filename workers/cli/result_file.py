"""Where `cil run` writes its result: a file that is complete after every seed, or standard output.

Decisions:
    * The destination is checked before training: a missing folder or a full disk costs no hours.
    * A regular file is replaced atomically after every seed. A device or pipe is written once, at the end.
    * A result that cannot be written is printed to standard output.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import typer

from cil_core.spec.atomic_write import write_atomically

_PROBE_BYTES = 2**20
"""More than the result of any usual job; a disk with less room is as good as full."""


class CannotWrite(Exception):
    """The result cannot be written; the message names the path and the reason."""


class ResultFile:
    """The destination of a result.

    Args:
        path: a file, a device or a pipe; None for standard output.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._is_regular = False

    def check(self) -> None:
        """Fail now if `finish` would fail later.

        Raises:
            CannotWrite: the path is a directory, its folder is missing, it is read-only, or the disk is full.
        """
        if self._path is None:
            return
        try:
            self._path = self._path.resolve()  # a link stays a link
            self._is_regular = self._path.is_file() or not self._path.exists()
            self._check(self._path)
        except OSError as error:
            raise CannotWrite(_refusal(self._path, error)) from error

    def _check(self, path: Path) -> None:
        if path.is_dir():
            raise CannotWrite(f"{path} is a directory; give the path of a file")
        if not path.parent.is_dir():
            raise CannotWrite(f"the folder {path.parent} does not exist; create it first")
        if path.exists() and not os.access(path, os.W_OK):
            raise CannotWrite(f"{path} is not writable")
        if self._is_regular:
            probe = path.with_name(f".{path.name[:40]}.probe")
            try:
                write_atomically(probe, b"\0" * _PROBE_BYTES)
            finally:
                probe.unlink(missing_ok=True)

    def update(self, text: str) -> None:
        """Write what is complete so far, if the destination can be replaced later.

        Raises:
            CannotWrite: the file system refuses it; an earlier update is kept.
        """
        if self._path is not None and self._is_regular:
            self._write(self._path, text)

    def finish(self, text: str) -> None:
        """Write the whole result.

        Raises:
            CannotWrite: the file system refuses it; the result is on standard output instead.
        """
        if self._path is None:
            sys.stdout.write(text)
            return
        try:
            self._write(self._path, text)
        except CannotWrite:
            sys.stdout.write(text)
            raise

    def _write(self, path: Path, text: str) -> None:
        try:
            if self._is_regular:
                write_atomically(path, text)
            else:
                with path.open("w", encoding="utf-8") as device:
                    device.write(text)
        except OSError as error:
            raise CannotWrite(_refusal(path, error)) from error


def checked_or_exit(path: Path | None) -> ResultFile:
    """The checked destination; prints why it cannot be written and exits with code 2 otherwise."""
    destination = ResultFile(path)
    try:
        destination.check()
    except CannotWrite as error:
        typer.echo(f"cil run: --out: {error}", err=True)
        raise typer.Exit(2) from error
    return destination


def _refusal(path: Path, error: OSError) -> str:
    return f"cannot write {path}: {error.strerror or error}"
