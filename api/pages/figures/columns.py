"""The columns of a leaderboard's table: what each says of an entry, and who is best in it.

Decisions:
    * Cells are made here and not in the template: a table has thousands, and a template's macro takes ten times as long for each.
    * What a cell cannot say it explains: a dash, and why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup, escape

from api.http import problems
from api.http.problems import Fault, Problem
from api.pages import templating
from api.pages.figures import svg
from api.shared.variants import brief
from store.leaderboard.entries import Entry
from store.leaderboard.statistics import MIN_SEEDS_FOR_INTERVAL

LISTED_SEEDS = 5

_STAR = Markup('<abbr title="best in this column">★</abbr> ')
_DIFFERED = Markup('<abbr title="a replay differed">≠</abbr>')


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes:
        key: its name in the address; of a sortable one, what it sorts by.
        header: printed above it, with its unit.
        cell: what it says of an entry at this moment.
        direction: 1 if more is better, -1 if less is; 0 if it cannot be sorted.
        usual: whether it is shown unless somebody chooses.
    """

    key: str
    header: str
    cell: Callable[[Entry, datetime], str]
    direction: int = 0
    usual: bool = True


def label(entry: Entry) -> str:
    """An entry's name: its method, and what tells it from the default."""
    return _named(entry, entry.variant)


def labels(found: Sequence[Entry]) -> dict[str, str]:
    """The name of each where several are shown, by its id: a variant of many changes is shortened unless two would be called the same."""
    short = {entry.id: _named(entry, brief(entry.variant)) for entry in found}
    count = Counter(short.values())
    return {entry.id: short[entry.id] if count[short[entry.id]] == 1 else label(entry) for entry in found}


def _named(entry: Entry, variant: str) -> str:
    return entry.title if variant == "default" else f"{entry.title}, {variant}"


def chosen(names: Sequence[str]) -> list[Column]:
    """The columns of these names in their order on the page; the usual ones without any.

    Raises:
        Problem: there is no such column.
    """
    known = {column.key: column for column in COLUMNS}
    if unknown := [name for name in names if name not in known]:
        said = f"{unknown[0][:80]!r} is no column; there are: {', '.join(known)}"
        raise Problem(problems.INVALID_QUERY, said, [Fault(parameter="columns", detail=said)])
    return [column for column in COLUMNS if (column.key in names if names else column.usual)]


def cells(found: Sequence[Entry], shown: Sequence[Column], present: datetime) -> dict[str, list[str]]:
    """By entry, its cell in each column, with a star where no ranked entry is better."""
    first = _best(found, shown)
    return {
        entry.id: [_starred(column.cell(entry, present), entry.id in first[column.key]) for column in shown]
        for entry in found
    }


def _starred(cell: str, first: bool) -> str:
    return _STAR + cell if first else cell


def _best(found: Sequence[Entry], shown: Sequence[Column]) -> dict[str, set[str]]:
    """By column, the ranked entries that are best in it; none where it does not sort, or only one has a value."""
    ranked = [entry for entry in found if entry.rank is not None]
    marked = {}
    for column in shown:
        values = (
            {entry.id: value for entry in ranked if (value := _value(entry, column.key)) is not None}
            if column.direction
            else {}
        )
        first = (max if column.direction > 0 else min)(values.values(), default=None)
        marked[column.key] = (
            {entry_id for entry_id, value in values.items() if value == first} if len(values) > 1 else set()
        )
    return marked


def _value(entry: Entry, key: str) -> float | None:
    """What an entry is sorted by."""
    if key in entry.metrics:
        return entry.metrics[key].mean
    if key == "train_seconds":
        return entry.train_seconds.mean if entry.train_seconds else None
    found: float | None = getattr(entry, key, None)
    return found


def _noted(said: object, note: str, css_class: str = "") -> Markup:
    """`Markup.format` would take five times as long."""
    attribute = f' class="{css_class}"' if css_class else ""
    return Markup(f"{escape(said)} <small{attribute}>{escape(note)}</small>")  # noqa: S704 - both parts are escaped


def _metric(name: str, absent: str = "not defined") -> Callable[[Entry, datetime], str]:
    nothing = _noted(templating.MISSING, absent)
    return lambda entry, _: templating.over_seeds(entry.metrics[name]) if name in entry.metrics else nothing


def _median_rank(entry: Entry, _: datetime) -> str:
    return (
        f"{entry.median_rank:g}"
        if entry.median_rank is not None
        else _noted(templating.MISSING, "not ranked")
    )


def _memory(entry: Entry, _: datetime) -> str:
    return _noted(
        templating.megabytes(entry.counted_bytes),
        f"{entry.exemplars} ex. · kept {templating.megabytes(entry.kept_bytes)}",
        "nowrap",
    )


def _time(entry: Entry, _: datetime) -> str:
    seconds = (
        templating.duration(entry.train_seconds.mean)
        if entry.train_seconds
        else _noted(templating.MISSING, "not recorded")
    )
    return _noted(seconds, ", ".join(entry.devices))


def _seeds(entry: Entry, _: datetime) -> str:
    links = " ".join(
        f'<a href="/runs/{escape(run.run_id)}">{run.seed}{_DIFFERED if run.replayed is False else ""}</a>'
        for run in entry.runs[:LISTED_SEEDS]
    )
    more = " …" if len(entry.runs) > LISTED_SEEDS else ""
    few = " no interval" if len(entry.runs) < MIN_SEEDS_FOR_INTERVAL else ""
    return _noted(len(entry.runs), Markup(links + more + few), "nowrap")  # noqa: S704 - identifiers are escaped


def _curve(entry: Entry, _: datetime) -> str:
    means = tuple(point.mean for point in entry.curve)
    drawing = svg.sparkline(means, f"Accuracy of {label(entry)} after each task")
    return Markup(drawing)  # noqa: S704 - `sparkline` escapes its label


_ONE_TASK = "one task only"

COLUMNS = (
    Column("average_accuracy", "Average acc.", _metric("average_accuracy"), 1),
    Column("last_accuracy", "Last acc.", _metric("last_accuracy"), 1),
    Column("forgetting", "Forgetting", _metric("forgetting", _ONE_TASK), -1),
    Column("median_rank", "Median rank", _median_rank, usual=False),
    Column(
        "average_accuracy_without_base",
        "Average without base",
        _metric("average_accuracy_without_base", _ONE_TASK),
        1,
        usual=False,
    ),
    Column("old_accuracy", "Old classes", _metric("old_accuracy"), 1, usual=False),
    Column("new_accuracy", "New classes", _metric("new_accuracy"), 1, usual=False),
    Column("harmonic_accuracy", "Harmonic mean", _metric("harmonic_accuracy"), 1, usual=False),
    Column(
        "forgetting_clipped", "Forgetting, clipped", _metric("forgetting_clipped", _ONE_TASK), -1, usual=False
    ),
    Column("backward_transfer", "Backward transfer", _metric("backward_transfer", _ONE_TASK), 1, usual=False),
    Column(
        "intransigence", "Intransigence", _metric("intransigence", "joint has not run here"), -1, usual=False
    ),
    Column("average_top5", "Average top-5", _metric("average_top5"), 1, usual=False),
    Column("last_top5", "Last top-5", _metric("last_top5"), 1, usual=False),
    Column("counted_bytes", "Memory, MB", _memory, -1),
    Column(
        "kept_bytes", "Kept, MB", lambda entry, _: templating.megabytes(entry.kept_bytes), -1, usual=False
    ),
    Column("parameters", "Params, M", lambda entry, _: templating.millions(entry.parameters), -1),
    Column("train_seconds", "Time", _time, -1),
    Column("seeds", "Seeds", _seeds),
    Column("date", "Finished", lambda entry, present: templating.ago(entry.finished_at, present)),
    Column("curve", "Curve", _curve),
)
USUAL = [column.key for column in COLUMNS if column.usual]
