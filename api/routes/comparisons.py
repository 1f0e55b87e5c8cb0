"""Entries side by side, and methods over several tracks."""

from __future__ import annotations

from fastapi import APIRouter

from api.deps import DatabaseDep
from api.http import problems
from api.http.parameters import Baseline, Classifier, Entries, Slugs
from api.http.problems import documented
from api.http.strict_requests import StrictRoute
from store.leaderboard.budgets import Budgets, budgets
from store.leaderboard.comparison import Comparison, TracksComparison, compare, compare_tracks

router = APIRouter(prefix="/compare", tags=["leaderboards"], route_class=StrictRoute)

_REFUSED = documented(problems.NOT_FOUND, problems.INVALID_QUERY, problems.NOT_COMPARABLE)


@router.get("", operation_id="compareEntries", responses=_REFUSED)
def read_comparison(
    entry: Entries, database: DatabaseDep, baseline: Baseline = None, classifier: Classifier = None
) -> Comparison:
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
