"""The columns of a leaderboard's table: the cell of each entry, and the best entry of each column.

Decisions:
    * Python makes the cells, not the template: a table has thousands, and a macro takes ten times as long for
      each.
    * A missing value is a dash with its reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from markupsafe import Markup, escape

from api.http import problems
from api.http.problems import Fault, Problem
from api.pages import formats
from api.pages.figures import svg
from api.shared import numbers
from api.shared.printable import printable
from api.shared.variants import brief
from cil_core.spec.recipes import BY_NAME
from cil_core.spec.summary import METRICS, Metric
from store.leaderboard.entries import Entry
from store.leaderboard.statistics import MIN_SEEDS_FOR_INTERVAL

LISTED_SEEDS = 5

_STAR = Markup('<abbr title="best in this column">★</abbr> ')
_DIFFERED = Markup('<abbr title="a replay did not agree">≠</abbr>')


class PageContext(NamedTuple):
    """What cells need to know about their page."""

    present: datetime
    url: Callable[[str], str]


Cell = Callable[[Entry, PageContext], str]


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes:
        key: its name in addresses, and the value to sort by.
        header: its title with the unit.
        cell: makes the text of an entry.
        direction: 1 if higher is better, -1 if lower is; 0 if the column cannot be sorted.
        usual: whether it is shown by default.
    """

    key: str
    header: str
    cell: Cell
    direction: int = 0
    usual: bool = True


def label(entry: Entry) -> str:
    """An entry's name: its method, and what differs from the default."""
    return _named(entry, entry.variant)


def labels(found: Sequence[Entry]) -> dict[str, str]:
    """The name of each entry by its id: long variants are shortened unless two entries would share a name."""
    short = {entry.id: _named(entry, brief(entry.variant)) for entry in found}
    count = Counter(short.values())
    return {entry.id: short[entry.id] if count[short[entry.id]] == 1 else label(entry) for entry in found}


def _named(entry: Entry, variant: str) -> str:
    return entry.title if variant == "default" else f"{entry.title}, {variant}"


def chosen(names: Sequence[str]) -> list[Column]:
    """The columns of these names in their order on the page; without names, the default columns.

    Raises:
        Problem: a name is unknown.
    """
    known = {column.key: column for column in COLUMNS}
    if unknown := [name for name in names if name not in known]:
        detail = f"unknown column {unknown[0][:80]!r}; allowed: {', '.join(known)}"
        raise Problem(problems.INVALID_QUERY, detail, [Fault(parameter="columns", detail=detail)])
    return [column for column in COLUMNS if (column.key in names if names else column.usual)]


def cells(found: Sequence[Entry], shown: Sequence[Column], context: PageContext) -> dict[str, list[str]]:
    """The cells of each entry by its id, with a star where no ranked entry is better."""
    best = _best(found, shown)
    return {
        entry.id: [_starred(column.cell(entry, context), entry.id in best[column.key]) for column in shown]
        for entry in found
    }


def is_competitor(entry: Entry) -> bool:
    """Whether the entry's method competes for ranks; upper bounds do not."""
    return BY_NAME[entry.method].ranked


def _starred(cell: str, is_best: bool) -> str:
    return _STAR + cell if is_best else cell


def _best(found: Sequence[Entry], shown: Sequence[Column]) -> dict[str, set[str]]:
    """The best competitors of each sortable column; none without two values."""
    competitors = [entry for entry in found if is_competitor(entry)]
    best: dict[str, set[str]] = {column.key: set() for column in shown}
    for column in shown:
        if not column.direction:
            continue
        values = {entry.id: _value(entry, column.key) for entry in competitors}
        known = {entry_id: value for entry_id, value in values.items() if value is not None}
        if len(known) > 1:
            first = (max if column.direction > 0 else min)(known.values())
            best[column.key] = {entry_id for entry_id, value in known.items() if value == first}
    return best


def _value(entry: Entry, key: str) -> float | None:
    """The value that a column sorts an entry by."""
    if key in entry.metrics:
        return entry.metrics[key].mean
    if key == "train_seconds":
        return entry.train_seconds.mean if entry.train_seconds else None
    found: float | None = getattr(entry, key, None)
    return found


def _noted(value: object, note: str, css_class: str = "") -> Markup:
    """A value with a small note; string formatting, since `Markup.format` takes five times as long."""
    attribute = f' class="{css_class}"' if css_class else ""
    return Markup(f"{escape(value)} <small{attribute}>{escape(note)}</small>")  # noqa: S704 - both are escaped


def _metric(metric: Metric) -> Column:
    """The column of a metric."""
    nothing = _noted(numbers.MISSING, metric.undefined or "not defined")

    def cell(entry: Entry, _: PageContext) -> str:
        statistic = entry.metrics.get(metric.name)
        return nothing if statistic is None else formats.over_seeds(statistic)

    direction = 1 if metric.better == "more" else -1
    return Column(metric.name, metric.column, cell, direction, metric.headline)


def _median_rank(entry: Entry, _: PageContext) -> str:
    if entry.median_rank is None:
        return _noted(numbers.MISSING, "not ranked")
    return f"{entry.median_rank:g}"


def _memory(entry: Entry, _: PageContext) -> str:
    note = f"{entry.exemplars} ex. · kept {formats.megabytes(entry.kept_bytes)}"
    return _noted(formats.megabytes(entry.counted_bytes), note, "nowrap")


def _kept(entry: Entry, _: PageContext) -> str:
    return formats.megabytes(entry.kept_bytes)


def _parameters(entry: Entry, _: PageContext) -> str:
    return formats.millions(entry.parameters)


def _time(entry: Entry, _: PageContext) -> str:
    devices = printable(", ".join(entry.devices))
    if entry.train_seconds is None:
        return _noted(numbers.MISSING, f"not recorded {devices}")
    return _noted(numbers.duration(entry.train_seconds.mean), devices)


def _seeds(entry: Entry, context: PageContext) -> str:
    links = " ".join(
        f'<a href="{escape(context.url(f"/runs/{run.run_id}"))}">{run.seed}'
        f"{_DIFFERED if run.replayed is False else ''}</a>"
        for run in entry.runs[:LISTED_SEEDS]
    )
    more = " …" if len(entry.runs) > LISTED_SEEDS else ""
    few = " no interval" if len(entry.runs) < MIN_SEEDS_FOR_INTERVAL else ""
    return _noted(len(entry.runs), Markup(links + more + few), "nowrap")  # noqa: S704 - addresses are escaped


def _finished(entry: Entry, context: PageContext) -> str:
    return formats.ago(entry.finished_at, context.present)


def _curve(entry: Entry, _: PageContext) -> str:
    values = tuple(point.mean for point in entry.curve)
    return Markup(svg.sparkline(values, f"Accuracy of {label(entry)} after each task"))  # noqa: S704 - it escapes


COLUMNS = (
    *(_metric(metric) for metric in METRICS if metric.headline),
    Column("median_rank", "Median rank", _median_rank, usual=False),
    *(_metric(metric) for metric in METRICS if not metric.headline),
    Column("counted_bytes", "Memory, MB", _memory, -1),
    Column("kept_bytes", "Kept, MB", _kept, -1, usual=False),
    Column("parameters", "Params, M", _parameters, -1),
    Column("train_seconds", "Time", _time, -1),
    Column("seeds", "Seeds", _seeds),
    Column("date", "Finished", _finished),
    Column("curve", "Curve", _curve),
)
"""Every column, in the order of the table; columns of metrics derive from `METRICS`."""

USUAL = [column.key for column in COLUMNS if column.usual]
"""Columns that are shown by default."""
