"""A snapshot on disk: everything public of a service as JSON lines, CSV and Parquet, with a manifest of hashes.

    DIR/manifest.json     what it is, when it was taken and where, and the SHA-256 of every file
    DIR/snapshot.jsonl    every record as the service told it: what `cil import` reads
    DIR/<table>.csv       tracks, entries, runs, matrices, reported
    DIR/<table>.parquet   the same

Decisions:
    * A directory is written beside its place and moved there when it is whole: no half snapshot is ever found.
    * The tables are for readers; they repeat what the records say, one number a cell.
    * Reading checks every hash before the first record is believed.
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
from api.shared.csv import safe_cell
from cil_core.spec.summary import METRICS

FORMAT = "cil-snapshot"
MANIFEST, RECORDS = "manifest.json", "snapshot.jsonl"

_METRICS = tuple(metric.name for metric in METRICS if metric.in_summary)
COLUMNS: dict[str, dict[str, str]] = {
    "tracks": {"slug": "string", "dataset": "string", "backbone": "string", "spec": "string"},
    "runs": {
        "run": "string", "entry": "string", "track": "string", "method": "string", "seed": "int64", "classifier": "string", "counted": "bool",
        "replay_of": "string", "engine_version": "string", "device": "string", "finished_at": "string", "matrix_digest": "string",
        **dict.fromkeys(_METRICS, "float64"), "recipe": "string",
    },
    "matrices": {
        "run": "string", "classifier": "string", "after_task": "int64", "task": "int64", "correct": "int64", "correct_top5": "int64", "test_images": "int64",
        "accuracy": "float64",
    },
    "entries": {
        "entry": "string", "track": "string", "rank": "int64", "median_rank": "float64", "trust": "string", "method": "string", "variant": "string",
        "classifier": "string", "seeds": "int64", **{f"{name}_{part}": "float64" for name in _METRICS for part in ("mean", "std", "low", "high")},
        "exemplars": "int64", "counted_bytes": "int64", "kept_bytes": "int64", "parameters": "int64", "train_seconds_mean": "float64", "devices": "string",
    },
    "reported": {
        "id": "string", "track": "string", "title": "string", "method": "string", "citation": "string", "link": "string", "user": "string",
        "average_accuracy": "float64", "last_accuracy": "float64", "forgetting": "float64", "curve": "string",
    },
}  # fmt: skip
"""By table: its columns, with the types they have in Parquet."""


class SnapshotError(ClientError):
    """A snapshot cannot be written, or what is there is not one."""

    exit_code = 1


def write(lines: Iterator[str], directory: Path, server: str, parquet: bool) -> dict[str, Any]:
    """Write a snapshot.

    Args:
        lines: the records as the service tells them.
        directory: where to; must not be there yet.
        server: where they come from.
        parquet: whether to write Parquet too, which needs pyarrow.

    Returns:
        The manifest.

    Raises:
        SnapshotError: the directory is there, pyarrow is not, or the service stopped telling.
    """
    if directory.exists():
        raise SnapshotError(f"{directory} is there already; give another directory")
    if parquet and importlib.util.find_spec("pyarrow") is None:
        raise SnapshotError(
            "Parquet needs pyarrow: pip install 'cil-leaderboard[parquet]', or give --no-parquet"
        )
    unfinished = directory.with_name(f".{directory.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    head, counts = _write_records(lines, unfinished)
    for table in COLUMNS:
        _write_csv(unfinished, table)
        if parquet:
            _write_parquet(unfinished, table)
    files = {
        path.name: {"sha256": _sha256(path), "bytes": path.stat().st_size}
        for path in sorted(unfinished.iterdir())
    }
    manifest = {
        **{name: head[name] for name in ("format", "version", "software", "engine_version", "taken_at")},
        "server": server,
        "counts": counts,
        "files": files,
    }
    (unfinished / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
    unfinished.rename(directory)
    return manifest


def read(directory: Path) -> Iterator[dict[str, Any]]:
    """The records of a snapshot whose files are all as its manifest says.

    Raises:
        SnapshotError: it is none, or a file is missing or was changed.
    """
    try:
        manifest = json.loads((directory / MANIFEST).read_text())
        files = manifest["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SnapshotError(f"{directory} holds no snapshot: {error}") from error
    for name, described in files.items():
        path = directory / Path(name).name
        if not path.is_file() or _sha256(path) != described["sha256"]:
            raise SnapshotError(f"{path} is {'not as its manifest says' if path.is_file() else 'missing'}")
    if RECORDS not in files:
        raise SnapshotError(f"{directory / MANIFEST} does not name {RECORDS}")
    return _records(directory)


def _records(directory: Path) -> Iterator[dict[str, Any]]:
    with (directory / RECORDS).open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def _write_records(lines: Iterator[str], directory: Path) -> tuple[dict[str, Any], dict[str, int]]:
    head: dict[str, Any] | None = None
    last: dict[str, Any] = {}
    with (directory / RECORDS).open("w", encoding="utf-8") as file:
        for line in lines:
            last = json.loads(line)
            head = head or last
            file.write(line + "\n")
    if head is None or head.get("format") != FORMAT or last.get("kind") != "end":
        raise SnapshotError("the service stopped before the end of the snapshot; try again")
    return head, last["counts"]


def _rows(directory: Path, table: str) -> Iterator[dict[str, Any]]:
    make = {
        "track": ("tracks", _track_rows),
        "run": ("runs", _run_rows),
        "entry": ("entries", _entry_rows),
        "reported": ("reported", _reported_rows),
    }
    for record in _records(directory):
        kind = record["kind"]
        if table == "matrices" and kind == "run":
            yield from _matrix_rows(record)
        elif kind in make and make[kind][0] == table:
            yield from make[kind][1](record)


def _track_rows(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    spec = record["spec"]
    yield {
        "slug": record["slug"],
        "dataset": spec["dataset"],
        "backbone": spec["backbone"],
        "spec": json.dumps(spec),
    }


def _run_rows(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    same = {
        name: record[name]
        for name in (
            "entry",
            "track",
            "method",
            "seed",
            "counted",
            "engine_version",
            "device",
            "finished_at",
            "matrix_digest",
        )
    }
    replay_of = record["replay"]["original_id"] if record["replay"] else None
    for classifier, metrics in record["metrics"].items():
        numbers = {name: metrics.get(name) for name in _METRICS}
        yield {
            "run": record["id"],
            **same,
            "classifier": classifier,
            "replay_of": replay_of,
            **numbers,
            "recipe": json.dumps(record["recipe"]),
        }


def _matrix_rows(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for row in record["results"]:
        cells = zip(row["correct"], row["correct_top5"], row["test_images"], strict=True)
        for task, (correct, top5, images) in enumerate(cells):
            yield {
                "run": record["id"], "classifier": row["classifier"], "after_task": row["task"], "task": task, "correct": correct, "correct_top5": top5,
                "test_images": images, "accuracy": correct / images,
            }  # fmt: skip


def _entry_rows(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    numbers: dict[str, Any] = {}
    for name in _METRICS:
        found = record["metrics"].get(name) or {"mean": None, "std": None, "interval": None}
        low, high = found["interval"] or (None, None)
        numbers |= {
            f"{name}_mean": found["mean"],
            f"{name}_std": found["std"],
            f"{name}_low": low,
            f"{name}_high": high,
        }
    kept = {
        name: record[name]
        for name in (
            "rank",
            "median_rank",
            "trust",
            "method",
            "variant",
            "classifier",
            "exemplars",
            "counted_bytes",
            "kept_bytes",
            "parameters",
        )
    }
    seconds = record["train_seconds"]["mean"] if record["train_seconds"] else None
    yield {
        "entry": record["id"], "track": record["track_slug"], **kept, **numbers, "seeds": len(record["runs"]), "train_seconds_mean": seconds,
        "devices": " ".join(record["devices"]),
    }  # fmt: skip


def _reported_rows(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    kept = {name: record[name] for name in COLUMNS["reported"] if name not in {"track", "curve"}}
    yield {**kept, "track": record["track_slug"], "curve": json.dumps(record["curve"])}


def _write_csv(directory: Path, table: str) -> None:
    with (directory / f"{table}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(COLUMNS[table]))
        writer.writeheader()
        for row in _rows(directory, table):
            writer.writerow({name: safe_cell(value) for name, value in row.items()})


def _write_parquet(directory: Path, table: str) -> None:
    import pyarrow as pa  # noqa: PLC0415 - an extra of its own
    from pyarrow import parquet  # noqa: PLC0415

    schema = pa.schema(
        [(name, getattr(pa, kind.replace("bool", "bool_"))()) for name, kind in COLUMNS[table].items()]
    )
    with parquet.ParquetWriter(directory / f"{table}.parquet", schema) as writer:
        batch: list[dict[str, Any]] = []
        for row in _rows(directory, table):
            batch.append(row)
            if len(batch) == _BATCH:
                writer.write_batch(pa.RecordBatch.from_pylist(batch, schema))
                batch = []
        writer.write_batch(pa.RecordBatch.from_pylist(batch, schema))


_BATCH = 10_000


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
