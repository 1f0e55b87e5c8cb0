"""Split files: tables that state class and split of each image; faults are reported by line and column.

Decisions:
    * Spreadsheets write UTF-8 with or without a byte-order mark, or UTF-16 with one, and separate cells by
      commas, semicolons or tabs. The header line decides.
    * A row with a missing or blank cell is a fault, never a guess: usually the copy of the file was
      interrupted.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cil_core.spec.errors import DataError, DataUnavailable

COLUMNS = ("path", "class", "split")
SPLITS = ("train", "test")
_DELIMITERS = (",", ";", "\t")


class Row(NamedTuple):
    """One image: its path as written, its class, and `train` or `test`."""

    path: str
    label: str
    split: str
    line: int


def rows(file: Path) -> Iterator[Row]:
    """Every row of a split file; blank lines are skipped.

    Raises:
        DataUnavailable: the file cannot be opened.
        DataError: names line and column of what is missing, blank or unknown.
    """
    table = _table(file)
    header = [cell.strip() for cell in next(table, (0, []))[1]]
    columns = {name: header.index(name) for name in COLUMNS}
    for line, cells in table:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) < len(header) or any(cell.strip() for cell in cells[len(header) :]):
            raise DataError(
                f"{file}, line {line}: {len(cells)} cells, but the header has {len(header)}"
                f" ({', '.join(header)}); is the line cut off?"
            )
        values = {name: cells[column] for name, column in columns.items()}
        for name, value in values.items():
            if not value.strip():
                raise DataError(f"{file}, line {line}, column {name}: the cell is blank")
        split = values["split"].strip()
        if split not in SPLITS:
            raise DataError(f"{file}, line {line}, column split: {split!r} is neither 'train' nor 'test'")
        yield Row(values["path"], values["class"].strip(), split, line)


def _table(file: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of every row, the header first."""
    text = _text(file)
    first, _, rest = text.partition("\n")
    offset = 0
    if first.strip().lower().startswith("sep="):  # Excel's own line, before the header
        text, first, offset = rest, rest.partition("\n")[0], 1
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(file, first), strict=True)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(f"{file}, line {reader.line_num + offset}: {error}") from error
        yield reader.line_num + offset, cells


def _delimiter(file: Path, header: str) -> str:
    """What separates the cells: with it the header has each column once."""
    for delimiter in _DELIMITERS:
        cells = [
            cell.strip() for row in csv.reader([header.rstrip("\r")], delimiter=delimiter) for cell in row
        ]
        if all(cells.count(name) == 1 for name in COLUMNS):
            return delimiter
    raise DataError(
        f"{file}, line 1: the header is {header.strip()[:200]!r}; it must name each of the columns path, "
        "class"
        " and split once, separated by commas, semicolons or tabs"
    )


def _text(file: Path) -> str:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise DataUnavailable(f"{file} cannot be read as a split file: {error.strerror}") from error
    encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{file}, line {line}: it is not {encoding.upper()}: {error.reason}") from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(f"{file}, line {line}: it holds NUL characters; save it as UTF-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")
