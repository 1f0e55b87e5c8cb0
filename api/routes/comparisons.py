"""Comparisons of entries, and of methods over several tracks."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.deps import DatabaseDep
from api.http import problems
from api.http.parameters import ComparisonParameters, TracksParameters
from api.http.problems import documented
from api.http.strict_requests import StrictRoute
from store.leaderboard.budgets import Budgets, budgets
from store.leaderboard.comparison import Comparison, TracksComparison, compare, compare_tracks

router = APIRouter(prefix="/compare", tags=["leaderboards"], route_class=StrictRoute)

_REFUSED = documented(problems.NOT_FOUND, problems.INVALID_QUERY, problems.NOT_COMPARABLE)


@router.get("", operation_id="compareEntries", responses=_REFUSED)
def read_comparison(query: Annotated[ComparisonParameters, Query()], database: DatabaseDep) -> Comparison:
    """Compare entries: curves, matrices, paired tests against a baseline, differing recipes."""
    with database.reading() as session:
        return compare(session, query.entry, baseline=query.baseline, classifier=query.classifier)


@router.get("/budgets", operation_id="compareMethodsOverBudgets", responses=_REFUSED)
def read_budgets(query: Annotated[TracksParameters, Query()], database: DatabaseDep) -> Budgets:
    """Accuracy over memory (AUC-A, AUC-L) on tracks that differ only in memory and backbone."""
    with database.reading() as session:
        return budgets(session, query.track)


@router.get("/tracks", operation_id="compareMethodsOverTracks", responses=_REFUSED)
def read_tracks_comparison(
    query: Annotated[TracksParameters, Query()], database: DatabaseDep
) -> TracksComparison:
    """Average ranks of methods over tracks, with Friedman's test and Nemenyi's critical difference."""
    with database.reading() as session:
        return compare_tracks(session, query.track)
