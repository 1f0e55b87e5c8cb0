"""Published figures, and how far their sources disagree."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.http import problems
from api.http.parameters import LiteratureParameters
from api.http.problems import documented
from api.http.strict_requests import StrictRoute
from store.leaderboard.literature.disagreement import Disagreement, disagreement
from store.leaderboard.literature.pretrained_reports import pretrained_reports

router = APIRouter(prefix="/literature", tags=["leaderboards"], route_class=StrictRoute)


@router.get(
    "/disagreement",
    operation_id="getLiteratureDisagreement",
    responses=documented(problems.INVALID_QUERY),
)
def read_disagreement(query: Annotated[LiteratureParameters, Query()]) -> Disagreement:
    """Published figures that independent sources report for the same benchmark, and their spread.

    Figures are in per cent as reported; this service did not measure them.
    """
    return disagreement(pretrained_reports(), **query.model_dump())
