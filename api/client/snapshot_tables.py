"""The tables of a snapshot: their columns, and their rows as the records give them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from cil_core.spec.summary import METRICS

_METRICS = tuple(metric.name for metric in METRICS if metric.in_summary)


def _typed(*names: str) -> dict[str, str]:
    """Columns from words such as `seed:int64`; text if no type is named."""
    words = [word.partition(":") for line in names for word in line.split()]
    return {name: kind or "string" for name, _, kind in words}


COLUMNS: dict[str, dict[str, str]] = {
    "tracks": _typed("slug dataset backbone spec"),
    "runs": _typed(
        "run entry track method seed:int64 classifier counted:bool replay_of engine_version device",
        "finished_at matrix_digest",
        *(f"{name}:float64" for name in _METRICS),
        "recipe",
    ),
    "matrices": _typed(
        "run classifier after_task:int64 task:int64 correct:int64 correct_top5:int64 test_images:int64",
        "accuracy:float64",
    ),
    "entries": _typed(
        "entry track rank:int64 median_rank:float64 trust method variant classifier seeds:int64",
        *(f"{name}_{part}:float64" for name in _METRICS for part in ("mean", "std", "low", "high")),
        "exemplars:int64 counted_bytes:int64 kept_bytes:int64 parameters:int64",
        "train_seconds_mean:float64 devices",
    ),
    "reported": _typed(
        "id track title method citation link user average_accuracy:float64 last_accuracy:float64",
        "forgetting:float64 curve",
    ),
}
"""By table: its columns, with their types in Parquet."""


def rows(records: Iterable[dict[str, Any]], table: str) -> Iterator[dict[str, Any]]:
    """The rows of a table, from the records of a snapshot."""
    kind, make = _SOURCES[table]
    for record in records:
        if record["kind"] == kind:
            yield from make(record)


def _track_rows(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    spec = record["spec"]
    yield {
        "slug": record["slug"],
        "dataset": spec["dataset"],
        "backbone": spec["backbone"],
        "spec": json.dumps(spec),
    }


def _run_rows(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A row per classifier."""
    copied = (
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
    for classifier, metrics in record["metrics"].items():
        yield {
            "run": record["id"],
            **{name: record[name] for name in copied},
            "classifier": classifier,
            "replay_of": record["replay"]["original_id"] if record["replay"] else None,
            **{name: metrics.get(name) for name in _METRICS},
            "recipe": json.dumps(record["recipe"]),
        }


def _matrix_rows(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A row per classifier, evaluation and task."""
    for result in record["results"]:
        counts = zip(result["correct"], result["correct_top5"], result["test_images"], strict=True)
        for task, (correct, top5, images) in enumerate(counts):
            yield {
                "run": record["id"],
                "classifier": result["classifier"],
                "after_task": result["task"],
                "task": task,
                "correct": correct,
                "correct_top5": top5,
                "test_images": images,
                "accuracy": correct / images,
            }


def _entry_rows(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    copied = (
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
    statistics: dict[str, Any] = {}
    for name in _METRICS:
        found = record["metrics"].get(name) or {"mean": None, "std": None, "interval": None}
        low, high = found["interval"] or (None, None)
        values = {"mean": found["mean"], "std": found["std"], "low": low, "high": high}
        statistics |= {f"{name}_{part}": value for part, value in values.items()}
    yield {
        "entry": record["id"],
        "track": record["track_slug"],
        **{name: record[name] for name in copied},
        **statistics,
        "seeds": len(record["runs"]),
        "train_seconds_mean": record["train_seconds"]["mean"] if record["train_seconds"] else None,
        "devices": " ".join(record["devices"]),
    }


def _reported_rows(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    copied = {name: record[name] for name in COLUMNS["reported"] if name not in {"track", "curve"}}
    yield {**copied, "track": record["track_slug"], "curve": json.dumps(record["curve"])}


_SOURCES = {
    "tracks": ("track", _track_rows),
    "runs": ("run", _run_rows),
    "matrices": ("run", _matrix_rows),
    "entries": ("entry", _entry_rows),
    "reported": ("reported", _reported_rows),
}
"""By table: the kind of record that has its rows, and the function that makes them."""
