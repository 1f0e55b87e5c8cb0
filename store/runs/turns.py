"""Whose turn it is: the owner whose run a worker takes next.

Decisions:
    * The owner with the fewest running runs goes first, counted per share of the user. Equal owners take
      turns: whose latest start lies furthest back goes first, so no user starves on a single worker.
    * Owners are found by steps through an index, not by a scan: a claim costs one look per waiting owner,
      however many runs each of them has.
    * Runs without a user have one owner together, the empty text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import CTE, ColumnElement, ScalarSelect, func, select
from sqlalchemy.orm import aliased

from store.database.base import is_in
from store.database.models import Run, User
from store.database.states import RunState

Conditions = Callable[[type[Run]], Sequence[ColumnElement[bool]]]
"""Which runs a worker can take, as conditions on `Run` or an alias of it."""


def next_owner(queue: str, conditions: Conditions) -> ScalarSelect[str]:
    """The owner whose turn it is, as a subquery without a row if nothing waits that the worker can take.

    Args:
        queue: of the worker.
        conditions: of its offer.
    """
    waiting, candidate, earlier, busy = _waiting_owners(queue), aliased(Run), aliased(Run), aliased(Run)
    running = (
        select(busy.owner, func.count().label("runs"))
        .where(is_in(busy.state, RunState.running), busy.queue == queue)
        .group_by(busy.owner)
        .subquery("running")
    )
    latest_start = (
        select(func.max(earlier.started_at)).where(earlier.owner == waiting.c.owner).scalar_subquery()
    )
    load = func.coalesce(running.c.runs, 0) * 1.0 / func.coalesce(User.share, 1)
    return (
        select(waiting.c.owner)
        .outerjoin(running, running.c.owner == waiting.c.owner)
        .outerjoin(User, User.id == waiting.c.owner)
        .where(
            select(candidate.id).where(*conditions(candidate), candidate.owner == waiting.c.owner).exists()
        )
        .order_by(load, latest_start.is_not(None), latest_start, waiting.c.owner)
        .limit(1)
        .scalar_subquery()
    )


def _waiting_owners(queue: str) -> CTE:
    """Every owner with a queued run, by steps from one to the next, and a null at the end."""
    first, later = aliased(Run), aliased(Run)
    owners = (
        select(func.min(first.owner).label("owner"))
        .where(is_in(first.state, RunState.queued), first.queue == queue)
        .cte("waiting_owners", recursive=True)
    )
    following = (
        select(func.min(later.owner))
        .where(is_in(later.state, RunState.queued), later.queue == queue, later.owner > owners.c.owner)
        .scalar_subquery()
    )
    return owners.union_all(select(following).where(owners.c.owner.is_not(None)))
