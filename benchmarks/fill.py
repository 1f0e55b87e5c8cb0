"""A database after years of use: finished runs with ten tasks each, over many tracks, written in bulk.

Every row obeys the schema: summaries follow from the counts, entries and keys are real digests. Only the
triggers that guard single writes are removed while it fills.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, event

import migrations
from cil_core import ENGINE_VERSION
from cil_core.spec.jobs import RunSpec, Track
from cil_core.spec.metrics import summarize
from cil_core.spec.recipes import BY_NAME
from store.database.ids import new_ids
from store.database.session import Database
from store.runs.submission import ensure_track, entry_id, run_key

TASKS, IMAGES, SEEDS = 10, 1000, 5
START = datetime(2026, 1, 1, tzinfo=UTC)
METHODS = [name for name, recipe in BY_NAME.items() if recipe.ranked and "later_tasks" in recipe.model_fields]
FOOTPRINT = {
    "parameters": 470_000,
    "backbone_parameters": 464_000,
    "exemplars": 2000,
    "counted_bytes": 8_000_000,
    "kept_bytes": 8_100_000,
}

RUNS = (
    "id",
    "key",
    "entry_id",
    "track_slug",
    "method",
    "recipe_digest",
    "recipe",
    "seed",
    "engine_version",
    "dataset",
    "queue",
    "priority",
    "forced",
    "state",
    "attempt",
    "charged",
    "not_before",
    "cancel_requested",
    "created_at",
    "started_at",
    "finished_at",
    "task_sizes",
    "class_order",
    "device",
    "environment",
    "matrix_digest",
)
RESULTS = (
    "run_id",
    "task",
    "classifier",
    "attempt",
    "known",
    "seen",
    "test_images",
    "correct",
    "correct_top5",
    "footprint",
    "diagnostics",
    "seconds",
    "created_at",
)
SUMMARIES = (
    "run_id",
    "classifier",
    "track_slug",
    "entry_id",
    "seed",
    "ranking",
    "counted",
    "average_accuracy",
    "last_accuracy",
    "forgetting",
    "metrics",
    "exemplars",
    "counted_bytes",
    "kept_bytes",
    "parameters",
    "train_seconds",
)
JOBS = (
    "id",
    "track_slug",
    "method",
    "recipe_digest",
    "spec",
    "name",
    "engine_version",
    "priority",
    "forced",
    "state",
    "last_sequence",
    "created_at",
    "finished_at",
)
LINKS = ("job_id", "run_id", "position", "reused", "withdrawn")
TABLES = {"runs": RUNS, "task_results": RESULTS, "summaries": SUMMARIES, "jobs": JOBS, "job_runs": LINKS}

Row = tuple[Any, ...]


@dataclass(frozen=True)
class _Template:
    """Results of a run, repeated for many runs."""

    results: list[Row]
    summary: Row
    digest: str


def fill(url: str, runs: int, tracks: int) -> None:
    """Fill the empty database at `url`."""
    migrations.upgrade(url)
    database = Database(url)
    on_sqlite = database.engine.dialect.name == "sqlite"
    if on_sqlite:
        event.listen(
            database.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = OFF")
        )
    slugs = [f"cifar100-b0-inc10-m{2000 + number}-resnet32" for number in range(tracks)]
    with database.transaction() as session:
        for slug in slugs:
            ensure_track(session, Track.from_slug(slug))
    with database.engine.connect() as connection, _unguarded(connection, on_sqlite):
        for batch in _batches(slugs, runs):
            for table, rows in batch.items():
                (_insert if on_sqlite else _copy)(connection, table, TABLES[table], rows)
            connection.commit()
    if not on_sqlite:  # autovacuum would otherwise run during the measurement
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM (ANALYZE)")
    database.dispose()


def _batches(slugs: Sequence[str], runs: int) -> Iterator[dict[str, list[Row]]]:
    templates = [_template(number) for number in range(40)]
    each = max(1, runs // (len(slugs) * SEEDS))
    for place, slug in enumerate(slugs):
        batch: dict[str, list[Row]] = {table: [] for table in TABLES}
        for variant in range(each):
            _entry(batch, slug, place * each + variant, variant, templates)
        yield batch


@dataclass(frozen=True)
class _Entry:
    """One recipe on one track."""

    id: str
    slug: str
    method: str
    spec: RunSpec
    began: datetime
    ended: datetime


def _entry(
    batch: dict[str, list[Row]], slug: str, number: int, variant: int, templates: Sequence[_Template]
) -> None:
    """A job with all the runs of one recipe on one track."""
    method = METHODS[variant % len(METHODS)]
    recipe = {"name": method, "later_tasks": {"lr": 0.1 + variant // len(METHODS) / 1000}}
    spec = RunSpec.model_validate({"method": recipe, "track": slug, "seed": 1})
    began = START + timedelta(seconds=20 * number)
    id_ = f"{entry_id(spec, ENGINE_VERSION, None)[:20]}{variant:08x}"
    entry = _Entry(id_, slug, method, spec, began, began + timedelta(seconds=15))
    classifier = BY_NAME[method].classifiers[0]
    (job,) = new_ids("job", 1)
    batch["jobs"].append(_job_row(entry, job, json.dumps({"method": recipe, "track": slug})))
    for position, run in enumerate(new_ids("run", SEEDS)):
        template = templates[(7 * number + position) % len(templates)]
        key = f"{run_key(spec, ENGINE_VERSION, None)[:40]}{number:016x}{position:08x}"
        batch["runs"].append(_run_row(entry, run, key, position + 1, template.digest))
        batch["task_results"] += [
            (run, task, classifier, *row, entry.ended) for task, row in enumerate(template.results)
        ]
        ranking, *numbers = template.summary
        batch["summaries"].append((run, classifier, slug, id_, position + 1, ranking, True, *numbers))
        batch["job_runs"].append((job, run, position, False, False))


def _job_row(entry: _Entry, job: str, spec: str) -> Row:
    return (
        *(job, entry.slug, entry.method, entry.spec.method.digest(), spec, None, ENGINE_VERSION),
        *(0, False, "succeeded", 40, entry.began, entry.ended),
    )


def _run_row(entry: _Entry, run: str, key: str, seed: int, digest: str) -> Row:
    recipe = entry.spec.method
    return (
        *(run, key, entry.id, entry.slug, entry.method),
        *(recipe.digest(), json.dumps(recipe.model_dump(mode="json")), seed, ENGINE_VERSION),
        *("cifar100", "cil", 0, False, "succeeded", 1, 1),
        *(entry.began, False, entry.began, entry.began, entry.ended),
        *(json.dumps([10] * TASKS), json.dumps(list(range(100)))),
        *("cuda:0", json.dumps({"python": "3.11", "host": "gpu-1"}), digest),
    )


def _template(number: int) -> _Template:
    """Counts of one template, with the summary that follows from them."""
    correct = [
        [IMAGES - 20 * (task - column) - 3 * number for column in range(task + 1)] for task in range(TASKS)
    ]
    top5 = [[IMAGES] * (task + 1) for task in range(TASKS)]
    footprint = json.dumps(FOOTPRINT)
    results = [
        (
            1,
            10 * task,
            10 * task + 10,
            json.dumps([IMAGES] * (task + 1)),
            json.dumps(correct[task]),
            json.dumps(top5[task]),
            footprint,
            "{}",
            60.0,
        )
        for task in range(TASKS)
    ]
    numbers = summarize(correct, top5, [IMAGES] * TASKS)
    summary = (
        True,
        numbers.average_accuracy,
        numbers.last_accuracy,
        numbers.forgetting,
        json.dumps(numbers.model_dump(mode="json")),
        2000,
        8_000_000,
        8_100_000,
        470_000,
        600.0,
    )
    return _Template(results, summary, f"{number:064x}")


def _insert(connection: Connection, table: str, columns: Sequence[str], rows: list[Row]) -> None:
    cursor = connection.connection.cursor()
    marks = ", ".join("?" * len(columns))
    plain = [
        tuple(
            value.strftime("%Y-%m-%d %H:%M:%S.%f") if isinstance(value, datetime) else value for value in row
        )
        for row in rows
    ]
    cursor.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", plain)


def _copy(connection: Connection, table: str, columns: Sequence[str], rows: list[Row]) -> None:
    cursor: Any = connection.connection.cursor()
    with cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


@contextmanager
def _unguarded(connection: Connection, on_sqlite: bool) -> Iterator[None]:
    """Drops the trigger that lets only the attempt holding a run write its results, and restores it."""
    if on_sqlite:
        guard = connection.exec_driver_sql(
            "SELECT sql FROM sqlite_master WHERE name = 'task_results_fenced'"
        ).scalar_one()
        before, after = "DROP TRIGGER task_results_fenced", guard
    else:
        before, after = (
            f"ALTER TABLE task_results {verb} TRIGGER task_results_fenced" for verb in ("DISABLE", "ENABLE")
        )
    connection.exec_driver_sql(before)
    connection.commit()
    yield
    connection.exec_driver_sql(after)
    connection.commit()
