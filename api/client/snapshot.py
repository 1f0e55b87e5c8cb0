r"""A snapshot on disk: everything public of a service as files, with a manifest of hashes.

    DIR/manifest.json     what it is, when and where it was taken, and the SHA-256 of every file
    DIR/snapshot.jsonl    every record as the service sent it: what `cil import` reads
    DIR/<table>.csv       tracks, entries, runs, matrices, reported
    DIR/<table>.parquet   the same

Decisions:
    * A directory is written under a temporary name and renamed when it is complete: half a snapshot never
      appears.
    * The tables are for readers; they repeat the records, one number per cell.
    * Reading checks every hash before it returns the first record.
    * Records end at `\n` only: titles may contain other characters that Unicode counts as ends of lines.
"""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from api.client.errors import ClientError
from api.client.snapshot_tables import COLUMNS, rows
from api.shared.csv import safe_cell

FORMAT = "cil-snapshot"
MANIFEST, RECORDS = "manifest.json", "snapshot.jsonl"

_ROWS_PER_BATCH = 10_000


class SnapshotError(ClientError):
    """A snapshot cannot be written, or a directory does not contain a valid one."""

    exit_code = 1


def write(lines: Iterator[str], directory: Path, server: str, parquet: bool) -> dict[str, Any]:
    """Write a snapshot.

    Args:
        lines: the records as the service sends them.
        directory: must not exist yet.
        server: where they come from.
        parquet: whether to write Parquet too, which needs pyarrow.

    Returns:
        The manifest.

    Raises:
        SnapshotError: the directory exists or cannot be written, pyarrow is missing, or the records are
            incomplete.
    """
    if directory.exists():
        raise SnapshotError(f"{directory} exists already; give another directory")
    if parquet and importlib.util.find_spec("pyarrow") is None:
        raise SnapshotError(
            "Parquet needs pyarrow: pip install 'cil-leaderboard[parquet]', or give --no-parquet"
        )
    unfinished = directory.with_name(f".{directory.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.mkdir(parents=True)
        manifest = _write_files(lines, unfinished, server, parquet)
        unfinished.rename(directory)
    except OSError as error:
        raise SnapshotError(f"{directory} cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return manifest


def read(directory: Path) -> Iterator[dict[str, Any]]:
    """The records of a snapshot, after a check of every file against its hash in the manifest.

    Raises:
        SnapshotError: the directory is not a snapshot, or a file is missing or was changed.
    """
    try:
        manifest = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
        hashes = {name: described["sha256"] for name, described in manifest["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SnapshotError(f"{directory} is not a snapshot: {error}") from error
    for name, expected in hashes.items():
        path = directory / Path(name).name
        if not path.is_file():
            raise SnapshotError(f"{path} is missing")
        if _sha256(path) != expected:
            raise SnapshotError(f"{path} was changed: its hash differs from the manifest's")
    if RECORDS not in hashes:
        raise SnapshotError(f"{directory / MANIFEST} does not list {RECORDS}")
    return _records(directory)


def _records(directory: Path) -> Iterator[dict[str, Any]]:
    with (directory / RECORDS).open(encoding="utf-8", newline="\n") as lines:
        for line in lines:
            yield json.loads(line)


def _write_files(lines: Iterator[str], directory: Path, server: str, parquet: bool) -> dict[str, Any]:
    head, counts = _write_records(lines, directory)
    for table in COLUMNS:
        _write_csv(directory, table)
        if parquet:
            _write_parquet(directory, table)
    files = {
        path.name: {"sha256": _sha256(path), "bytes": path.stat().st_size}
        for path in sorted(directory.iterdir())
    }
    manifest = {
        **{name: head[name] for name in ("format", "version", "software", "engine_version", "taken_at")},
        "server": server,
        "counts": counts,
        "files": files,
    }
    (directory / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return manifest


def _write_records(lines: Iterator[str], directory: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """The first record, and the counts of the last one."""
    head: dict[str, Any] = {}
    last: dict[str, Any] = {}
    with (directory / RECORDS).open("w", encoding="utf-8", newline="\n") as file:
        for line in lines:
            try:
                last = json.loads(line)
            except ValueError:
                break  # cut off: `last` is not the end then
            head = head or last
            file.write(line + "\n")
        else:
            if head.get("format") == FORMAT and last.get("kind") == "end":
                return head, last["counts"]
    raise SnapshotError("the service stopped before the end of the snapshot; try again")


def _write_csv(directory: Path, table: str) -> None:
    with (directory / f"{table}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(COLUMNS[table]))
        writer.writeheader()
        for row in rows(_records(directory), table):
            writer.writerow({name: safe_cell(value) for name, value in row.items()})


def _write_parquet(directory: Path, table: str) -> None:
    import pyarrow as pa  # noqa: PLC0415 - an extra of its own
    from pyarrow import parquet  # noqa: PLC0415

    schema = pa.schema(
        [(name, getattr(pa, kind.replace("bool", "bool_"))()) for name, kind in COLUMNS[table].items()]
    )
    with parquet.ParquetWriter(directory / f"{table}.parquet", schema) as writer:
        batch: list[dict[str, Any]] = []
        for row in rows(_records(directory), table):
            batch.append(row)
            if len(batch) == _ROWS_PER_BATCH:
                writer.write_batch(pa.RecordBatch.from_pylist(batch, schema))
                batch = []
        writer.write_batch(pa.RecordBatch.from_pylist(batch, schema))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
