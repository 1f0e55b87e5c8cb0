"""The format of a snapshot: its version, the kinds of record, and the columns of each."""

from __future__ import annotations

from typing import Any

FORMAT, VERSION = "cil-snapshot", 1
KINDS = ("dataset", "track", "run", "reported", "entry")

RUN_COLUMNS = (
    "id",
    "seed",
    "engine_version",
    "recipe",
    "dataset_fingerprint",
    "attempt",
    "device",
    "environment",
    "task_sizes",
    "class_order",
    "matrix_digest",
)
RESULT_COLUMNS = (
    "task",
    "classifier",
    "known",
    "seen",
    "test_images",
    "correct",
    "correct_top5",
    "footprint",
    "diagnostics",
    "seconds",
)
REPORTED_COLUMNS = (
    "id",
    "track_slug",
    "method",
    "title",
    "citation",
    "link",
    "note",
    "seeds",
    "curve",
    "matrix",
    "average_accuracy",
    "last_accuracy",
    "forgetting",
)

Record = dict[str, Any]
"""A JSON object with its `kind`."""
