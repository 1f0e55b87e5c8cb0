"""Results computed elsewhere: reporting, reading and withdrawing them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Path, Query, Request, Response

from api.deps import CursorsDep, DatabaseDep, Reporter, writing
from api.http import problems
from api.http.cursors import invalid_cursor, link_next
from api.http.idempotent import REPLAYED, IdempotencyKey, idempotent
from api.http.links import locate
from api.http.parameters import ResultsParameters
from api.http.problems import Problem, documented
from api.http.strict_requests import StrictRoute
from api.schemas.reported import ResultAnswer, ResultRequest, Results, result_answer
from cil_core.spec import validation
from store.access.accounts import Scope
from store.datasets import dataset_cards
from store.leaderboard import reported

router = APIRouter(prefix="/results", tags=["results"], route_class=StrictRoute)

ResultId = Annotated[
    str,
    Path(
        pattern=r"^res_[0-9a-z]{26}$",
        description="A reported result's id.",
        examples=["res_01k9x3v8h2m4n6p8q0r2s4t6v8"],
    ),
]

_REFUSALS = (problems.UNAUTHENTICATED, problems.FORBIDDEN, problems.INVALID_QUERY)


@router.post(
    "",
    status_code=201,
    operation_id="reportResult",
    responses=documented(*_REFUSALS, *problems.OF_A_BODY, *problems.OF_A_KEY),
)
def report_result(
    principal: Reporter,
    given: Annotated[ResultRequest, Body()],
    request: Request,
    response: Response,
    database: DatabaseDep,
    idempotency_key: IdempotencyKey = None,
) -> ResultAnswer:
    """Report a result with its source: an accuracy per task, or the whole matrix.

    The leaderboard shows it without a rank.
    """
    meaning = {"report": given.model_dump(mode="json")}
    with writing(database, principal) as session:
        datasets = dataset_cards(session)
        validation.check_track(given.track, datasets)
        sizes = given.track.protocol.task_sizes(datasets[given.track.dataset].classes)
        with idempotent(session, principal, idempotency_key, meaning) as keyed:
            if keyed.made is None:
                keyed.made = reported.add_reported_result(
                    session,
                    given.report(),
                    user_id=principal.user_id,
                    track_slug=given.track.slug,
                    task_sizes=sizes,
                ).id
        answer = result_answer(reported.get_reported_result(session, keyed.result))
    response.headers.update(REPLAYED[keyed.replayed])
    locate(request, response, f"/api/v1/results/{answer.id}")
    return answer


@router.get(
    "", operation_id="listResults", responses=documented(problems.INVALID_QUERY, problems.INVALID_CURSOR)
)
def read_results(
    request: Request,
    response: Response,
    database: DatabaseDep,
    cursors: CursorsDep,
    query: Annotated[ResultsParameters, Query()],
) -> Results:
    """Reported results, the newest first."""
    this_list, after = f"results {query.track or ''} ", cursors.check(query.cursor)
    if after is not None and not after.startswith(this_list):
        raise invalid_cursor("the cursor belongs to another list; start from the first page")
    after, limit = after and after.removeprefix(this_list), query.limit
    with database.reading() as session:
        found = reported.list_reported_results(session, query.track, after, limit + 1)
    next_cursor = cursors.sign(this_list + found[limit - 1].id) if len(found) > limit else None
    link_next(request, response, next_cursor)
    return Results(items=[result_answer(row) for row in found[:limit]], next_cursor=next_cursor)


@router.get(
    "/{result_id}", operation_id="getResult", responses=documented(problems.NOT_FOUND, problems.INVALID_QUERY)
)
def read_result(result_id: ResultId, database: DatabaseDep) -> ResultAnswer:
    """A reported result."""
    with database.reading() as session:
        return result_answer(reported.get_reported_result(session, result_id))


@router.delete(
    "/{result_id}", operation_id="withdrawResult", responses=documented(*_REFUSALS, problems.NOT_FOUND)
)
def withdraw_result(principal: Reporter, result_id: ResultId, database: DatabaseDep) -> ResultAnswer:
    """Withdraw one of your reported results, or any as an administrator; returns it."""
    with writing(database, principal) as session:
        found = reported.get_reported_result(session, result_id)
        if found.user_id != principal.user_id and not principal.may(Scope.admin):
            raise Problem(
                problems.FORBIDDEN, "only the reporter or an administrator may withdraw this result"
            )
        answer = result_answer(found)
        reported.withdraw(session, result_id)
    return answer
