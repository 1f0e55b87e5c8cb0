"""What `cil` prints: results on standard output, progress and errors on standard error.

Decisions:
    * Every text passes `printable`, because most of it was written by strangers. JSON keeps its meaning.
    * Characters that the output's encoding lacks are replaced; a closed pipe ends the command quietly.
    * Only a terminal limits the width of a table (or `COLUMNS`, if it is set): a file or a pipe gets every
      column.
"""

from __future__ import annotations

import errno
import io
import json
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO

import typer

from api.client.spelling import spelled
from api.shared.printable import printable, printable_json, printable_lines

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

WRITE_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""What a full or broken disk raises when standard output is a file on it."""

_WIDTH_OF_A_FILE = 10_000


def replace_unencodable() -> None:
    """Let standard output and standard error print every text, in any encoding."""
    for stream, errors in ((sys.stdout, "replace"), (sys.stderr, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)


def say(text: str, *, newline: bool = True) -> None:
    """Print a result in words; it may have several lines."""
    typer.echo(spelled(printable_lines(text), sys.stdout.encoding or "utf-8"), nl=newline)


def say_wrapped(text: str) -> None:
    """Print a paragraph, broken between words."""
    from rich.text import Text  # noqa: PLC0415 - `cil --help` answers without it

    show(Text(spelled(printable_lines(text), sys.stdout.encoding or "utf-8")))


def show(what: RenderableType) -> None:
    """Print a table."""
    _console(sys.stdout).print(what, highlight=False, markup=False)


def show_json(value: Any) -> None:
    """Print a result for scripts."""
    document = printable_json(json.dumps(value, indent=2, ensure_ascii=False))
    try:
        document.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        document = json.dumps(value, indent=2)
    typer.echo(document)


def complain(text: str) -> None:
    """Print an error; it may have several lines."""
    typer.secho(printable_lines(text), fg="red", err=True)


def progress_console() -> Console:
    """Standard error: progress is printed there, so that results can be piped."""
    return _console(sys.stderr)


def progress_line(console: Console, text: str) -> None:
    """Print one line of progress."""
    console.print(printable(text), highlight=False, markup=False, soft_wrap=True)


def flush() -> None:
    """Write what is buffered; exit with 1 and no traceback if the reader has left or the disk is full."""
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python closes it without an error
        if not isinstance(error, BrokenPipeError):
            complain(f"standard output: {error.strerror}")
        sys.exit(1)


def _console(stream: TextIO) -> Console:
    from rich.console import Console  # noqa: PLC0415 - `cil --help` answers without it

    unlimited = not stream.isatty() and "COLUMNS" not in os.environ
    return Console(file=stream, width=_WIDTH_OF_A_FILE if unlimited else None, markup=False, emoji=False)
