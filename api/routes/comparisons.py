"""Entries side by side, and methods over several tracks."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api import problems
from api.deps import DatabaseDep
from api.problems import documented
from api.routes.tracks import Classifier
from api.strict import StrictRoute
from store.budgets import Budgets, budgets
from store.comparison import Comparison, TracksComparison, compare, compare_tracks

router = APIRouter(prefix="/compare", tags=["leaderboards"], route_class=StrictRoute)

Entries = Annotated[list[str], Query(description="Ids of 2 to 8 entries of one track, as the leaderboard gives them.", max_length=100)]
Baseline = Annotated[str | None, Query(description="One of the entries, with which the others are compared; the first if left out.")]
Slugs = Annotated[list[str], Query(description="Two tracks or more.", max_length=100)]
_REFUSED = documented(problems.NOT_FOUND, problems.INVALID_QUERY, problems.NOT_COMPARABLE)


@router.get("", operation_id="compareEntries", responses=_REFUSED)
def read_comparison(entry: Entries, database: DatabaseDep, baseline: Baseline = None, classifier: Classifier = None) -> Comparison:
    """Curves, matrices, paired tests over shared seeds against a baseline, and what differs between recipes and environments."""
    with database.reading() as session:
        return compare(session, entry, baseline=baseline, classifier=classifier)


@router.get("/budgets", operation_id="compareMethodsOverBudgets", responses=_REFUSED)
def read_budgets(track: Slugs, database: DatabaseDep) -> Budgets:
    """Accuracy over memory of the methods that stand on all these tracks, which differ in nothing but memory and backbone: AUC-A and AUC-L."""
    with database.reading() as session:
        return budgets(session, track)


@router.get("/tracks", operation_id="compareMethodsOverTracks", responses=_REFUSED)
def read_tracks_comparison(track: Slugs, database: DatabaseDep) -> TracksComparison:
    """Average ranks of the methods that stand on all these tracks, with Friedman's test and Nemenyi's critical difference."""
    with database.reading() as session:
        return compare_tracks(session, track)
