"""How far independent sources disagree about the same method on the same benchmark.

A *cell* is a method, dataset, protocol, pre-trained weights and memory of exemplars. Decisions:
    * Reports with unknown weights belong to no cell.
    * A source is a team. All works of a team count once, with the mean of their reports, so that class orders
      and revised tables of one team are no disagreement.
    * A second-hand report copies another source and never counts. A rerun that prints the same average and
      last accuracy as another team counts as a copy as well.
    * Only cells with two or more independent sources are listed, the largest spread of last accuracy first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from statistics import fmean, median
from typing import NamedTuple

from pydantic import Field

from cil_core.spec.base import Frozen
from store.leaderboard.literature.pretrained_reports import Collection, Kind, Report, Work

_DIGITS = 4
"""Decimals of a spread, so that a difference of printed figures has no rounding error."""


class _Key(NamedTuple):
    """What the reports of a cell share."""

    method: str
    dataset: str
    protocol: str
    weights: str
    exemplars: str


class Role(StrEnum):
    """Whether a report counts in its cell."""

    COUNTED = "counted"
    SECOND_HAND = "second-hand"
    REPEATED = "repeated"
    """Prints the figures of another team."""


class CitedReport(Frozen):
    """A report with its work."""

    report: Report
    work: Work
    role: Role = Field(description="`repeated`: it prints the figures of another team and does not count.")


class Source(Frozen):
    """The mean of what one team reports for a cell, in per cent."""

    team: str
    average: float | None = Field(description="None if the team prints no average.")
    last: float


class Cell(Frozen):
    """One method on one benchmark, as several independent sources report it."""

    method: str
    dataset: str
    protocol: str
    weights: str
    exemplars: str
    average_spread: float | None = Field(
        description="Largest minus smallest average accuracy of its sources, in points; None if fewer than "
        "two print one."
    )
    last_spread: float = Field(description="The same of last accuracy.")
    sources: tuple[Source, ...]
    reports: tuple[CitedReport, ...]


class Spreads(Frozen):
    """The spreads of several cells in one metric, in points."""

    cells: int = Field(description="Cells in which two or more sources print the metric.")
    over_1: int = Field(description="Cells whose sources differ by more than 1 point.")
    over_5: int
    over_10: int
    median: float | None
    largest: float | None


class Summary(Frozen):
    """The disagreement over all listed cells of one method or dataset."""

    name: str
    average: Spreads
    last: Spreads


class Disagreement(Frozen):
    """Cells that several independent sources report, with summaries."""

    reports: int = Field(description="Reports that were read, copies included.")
    cells: int = Field(description="Cells with at least one source.")
    average: Spreads
    last: Spreads
    by_method: tuple[Summary, ...]
    by_dataset: tuple[Summary, ...]
    items: tuple[Cell, ...] = Field(description="Cells with two or more sources, the largest spread first.")


def disagreement(
    collection: Collection,
    *,
    method: str | None = None,
    dataset: str | None = None,
    second_hand: bool = False,
) -> Disagreement:
    """The disagreement within a collection.

    Args:
        collection: Works with their reports.
        method: Only this method.
        dataset: Only this dataset.
        second_hand: Whether to list second-hand reports within their cells; they never count.
    """
    reports = [
        report
        for report in collection.reports
        if method in {None, report.method} and dataset in {None, report.dataset}
    ]
    groups = _groups(reports, {work.key: work for work in collection.works})
    found = sorted(
        (
            _cell(key, group, second_hand=second_hand)
            for key, group in groups.items()
            if len(_by_team(group)) > 1
        ),
        key=_order,
    )
    return Disagreement(
        reports=len(reports),
        cells=sum(bool(_by_team(group)) for group in groups.values()),
        average=_spreads(cell.average_spread for cell in found),
        last=_spreads(cell.last_spread for cell in found),
        by_method=_summaries(found, lambda cell: cell.method),
        by_dataset=_summaries(found, lambda cell: cell.dataset),
        items=tuple(found),
    )


def _groups(reports: Sequence[Report], works: dict[str, Work]) -> dict[_Key, list[CitedReport]]:
    """The reports of each cell, with their roles."""
    cells: dict[_Key, list[Report]] = defaultdict(list)
    for report in reports:
        if report.weights is not None:
            key = _Key(report.method, report.dataset, report.protocol, report.weights, report.exemplars)
            cells[key].append(report)
    return {
        key: [
            CitedReport(report=report, work=works[report.work], role=_role(report, found, works))
            for report in found
        ]
        for key, found in cells.items()
    }


def _role(report: Report, cell: Sequence[Report], works: dict[str, Work]) -> Role:
    if report.kind is Kind.SECOND_HAND:
        return Role.SECOND_HAND
    repeated = any(
        _precedes(other, report)
        and works[other.work].team != works[report.work].team
        and (other.average, other.last) == (report.average, report.last)
        for other in cell
    )
    return Role.REPEATED if repeated and report.average is not None else Role.COUNTED


def _precedes(other: Report, report: Report) -> bool:
    """Whether `other` is the original if both print the same: authors first, then the order of the list."""
    if report.kind is not Kind.RERUN or other.kind is Kind.SECOND_HAND:
        return False
    return other.kind is Kind.AUTHOR or other.id < report.id


def _by_team(group: Iterable[CitedReport]) -> dict[str, list[Report]]:
    teams: dict[str, list[Report]] = defaultdict(list)
    for cited in group:
        if cited.role is Role.COUNTED:
            teams[cited.work.team].append(cited.report)
    return teams


def _cell(key: _Key, group: Sequence[CitedReport], *, second_hand: bool) -> Cell:
    sources = tuple(
        Source(
            team=team,
            average=_mean(report.average for report in reports),
            last=round(fmean(report.last for report in reports), _DIGITS),
        )
        for team, reports in sorted(_by_team(group).items())
    )
    shown = [cited for cited in group if second_hand or cited.role is not Role.SECOND_HAND]
    averages = [source.average for source in sources if source.average is not None]
    return Cell(
        **key._asdict(),
        average_spread=_spread(averages) if len(averages) > 1 else None,
        last_spread=_spread([source.last for source in sources]),
        sources=sources,
        reports=tuple(sorted(shown, key=lambda cited: (-cited.report.last, cited.report.id))),
    )


def _mean(figures: Iterable[float | None]) -> float | None:
    printed = [figure for figure in figures if figure is not None]
    return round(fmean(printed), _DIGITS) if printed else None


def _spread(figures: Sequence[float]) -> float:
    return round(max(figures) - min(figures), _DIGITS)


def _order(cell: Cell) -> tuple[float, float, str, str, str]:
    return -cell.last_spread, -(cell.average_spread or 0), cell.method, cell.dataset, cell.protocol


def _spreads(values: Iterable[float | None]) -> Spreads:
    known = [value for value in values if value is not None]
    return Spreads(
        cells=len(known),
        over_1=sum(value > 1 for value in known),
        over_5=sum(value > 5 for value in known),
        over_10=sum(value > 10 for value in known),
        median=round(median(known), _DIGITS) if known else None,
        largest=max(known, default=None),
    )


def _summaries(cells: Sequence[Cell], name_of: Callable[[Cell], str]) -> tuple[Summary, ...]:
    """By name; the largest number of cells first."""
    groups: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        groups[name_of(cell)].append(cell)
    return tuple(
        Summary(
            name=name,
            average=_spreads(cell.average_spread for cell in found),
            last=_spreads(cell.last_spread for cell in found),
        )
        for name, found in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    )
