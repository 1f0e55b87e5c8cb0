"""How far published figures disagree, as a page.

Decisions:
    * Figures appear as their source prints them, with its citation.
    * An empty field of the form means no filter, and the address holds every filter in use.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import Field

from api.http.parameters import Parameters
from api.http.strict_requests import StrictRoute
from api.pages import formats, templating
from store.leaderboard.literature.disagreement import Cell, Disagreement, Role, Spreads, Summary, disagreement
from store.leaderboard.literature.pretrained_reports import Kind, pretrained_reports

router = APIRouter(include_in_schema=False, route_class=StrictRoute)

CONTROL = "SimpleCIL"

WHY = (
    "A reader cannot tell which figure is right. Papers rarely state all that decides it: the class order,"
    " the preparation of the images, the exact weights behind a name, what the last accuracy averages, and"
    " whether a prediction depends on the other images of its batch.",
    "This service exists for that reason: a track fixes what methods must share, every run records its recipe"
    " and its counts of correct predictions, and a second run can verify them.",
)
AS_REPORTED = "All figures below are in per cent, as their sources report them; none was measured here."

RULES = (
    "A cell is one method on one benchmark: the same dataset, protocol, pre-trained weights and exemplars."
    " Reports that do not state their weights belong to no cell.",
    "A source is a team. The paper and the code of the same authors count once, with the mean of their"
    " reports, which may cover several class orders.",
    "A second-hand report copies another source. It never counts and is hidden by default.",
    "A rerun that prints the same average and last accuracy as another team counts as a copy.",
    "A rerun may also be a copy of a source that is not listed. Such copies make the true spread larger than"
    " the one shown.",
)

KINDS = {
    Kind.AUTHOR: "Reported by the method's own authors.",
    Kind.RERUN: "Reported by others, who ran the method again.",
    Kind.SECOND_HAND: "Copied from another source, or likely so.",
}
ROLES = {
    Role.COUNTED: "",
    Role.SECOND_HAND: "not counted: may be a copy",
    Role.REPEATED: "not counted: prints the figures of another team",
}


class LiteraturePageParameters(Parameters):
    """The form's fields, empty ones included."""

    method: str = Field(default="", max_length=80)
    dataset: str = Field(default="", max_length=80)
    second_hand: bool = False

    @property
    def filters(self) -> dict[str, str]:
        """The filters in use."""
        given = {"method": self.method, "dataset": self.dataset}
        shown = {"second_hand": "true"} if self.second_hand else {}
        return {name: value for name, value in given.items() if value} | shown


@router.get("/literature")
def show(request: Request, query: Annotated[LiteraturePageParameters, Query()]) -> Response:
    """The disagreement: counts, a summary per method and per dataset, and every cell with its reports."""
    every = disagreement(pretrained_reports())
    found = disagreement(
        pretrained_reports(),
        method=query.method or None,
        dataset=query.dataset or None,
        second_hand=query.second_hand,
    )
    return templating.render(
        request,
        "literature.html",
        found=found,
        headline=headline(found),
        why=WHY,
        as_reported=AS_REPORTED,
        rules=RULES,
        kinds=KINDS,
        roles=ROLES,
        setting=setting,
        means=means,
        given=query,
        filters=query.filters,
        methods=_choices(every.by_method, query.method),
        datasets=_choices(every.by_dataset, query.dataset),
    )


def headline(found: Disagreement) -> str:
    """How many cells have several sources, and how many of them differ."""
    several = formats.counted(found.last.cells, "cell")
    text = (
        f"This page reads {formats.counted(found.reports, 'published report')}. Those of authors and reruns"
        f" cover {formats.counted(found.cells, 'cell')}, each one method on one benchmark."
        f" Two or more independent sources report {several}."
    )
    if not found.last.cells:
        return text
    return " ".join([text, _excess(found.last), *_control(found)])


def _excess(last: Spreads) -> str:
    return (
        f"In last accuracy, {last.over_1} of {last.cells} differ by more than 1 point,"
        f" {last.over_5} by more than 5 and {last.over_10} by more than 10."
    )


def _control(found: Disagreement) -> list[str]:
    """The spread of a method without training, whose last accuracy does not depend on the class order."""
    return [
        f"{CONTROL}, which trains nothing, differs by at most {formats.spread(row.last.largest)} points:"
        " its last accuracy does not depend on the class order."
        for row in found.by_method
        if row.name == CONTROL
    ]


def setting(cell: Cell) -> str:
    """What the sources of a cell share, besides method and dataset."""
    exemplars = "no exemplars" if cell.exemplars == "none" else f"{cell.exemplars} exemplars"
    return f"{cell.protocol}; {cell.weights}; {exemplars}"


def means(cell: Cell) -> str:
    """The last accuracy of each source."""
    return "; ".join(f"{source.team} {source.last:.2f}" for source in cell.sources)


def _choices(rows: Sequence[Summary], given: str) -> list[str]:
    """Names with listed cells, and the given one."""
    return sorted({*(row.name for row in rows), *([given] if given else [])}, key=str.casefold)
