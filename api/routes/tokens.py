"""Creating, listing and revoking your own tokens."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response

from api.deps import DatabaseDep, requires, writing
from api.http import problems
from api.http.idempotent import REPLAYED, IdempotencyKey, idempotent
from api.http.problems import Fault, Problem, documented
from api.http.strict_requests import StrictRoute
from api.schemas.tokens import NewTokenAnswer, TokenAnswer, TokenRequest, Tokens, token_answer
from store.access import accounts
from store.access.accounts import Principal, Scope

router = APIRouter(prefix="/tokens", tags=["tokens"], route_class=StrictRoute)

Owner = Annotated[Principal, Depends(requires(Scope.tokens_write))]
OwnerReading = Annotated[Principal, Depends(requires(Scope.tokens_write, to_read=True))]
TokenId = Annotated[str, Path(pattern=r"^tok_[0-9a-z]{26}$")]

_REFUSALS = (problems.UNAUTHENTICATED, problems.FORBIDDEN, problems.INVALID_QUERY)


@router.post(
    "",
    status_code=201,
    operation_id="createToken",
    responses=documented(*_REFUSALS, *problems.OF_A_BODY, *problems.OF_A_KEY),
)
def create_token(
    owner: Owner,
    wanted: TokenRequest,
    response: Response,
    database: DatabaseDep,
    idempotency_key: IdempotencyKey = None,
) -> NewTokenAnswer:
    """Create a token for yourself.

    Only this response contains the token's text. Repeating the request with the same idempotency key returns
    the token without it.
    """
    beyond = [index for index, scope in enumerate(wanted.scopes) if not owner.may(scope)]
    if beyond:
        faults = [
            Fault(
                pointer=f"/scopes/{index}",
                detail=f"your token does not have the scope {wanted.scopes[index].value!r}",
            )
            for index in beyond
        ]
        raise Problem(problems.FORBIDDEN, faults[0].detail, faults)
    lifetime = None if wanted.days is None else timedelta(days=wanted.days)
    shown = None
    meaning = {"token": wanted.model_dump(mode="json")}
    with (
        writing(database, owner) as session,
        idempotent(session, owner, idempotency_key, meaning) as keyed,
    ):
        if keyed.made is None:
            issued = accounts.issue_token(session, owner.user_id, wanted.name, wanted.scopes, lifetime)
            keyed.made, shown = issued.id, issued.plain
        tokens = accounts.list_tokens(session, owner.user_id)
        made = next(token for token in tokens if token.id == keyed.result)
    response.headers.update(REPLAYED[keyed.replayed])
    response.headers["Cache-Control"] = "no-store"
    return NewTokenAnswer(**token_answer(made).model_dump(), token=shown)


@router.get("", operation_id="listTokens", responses=documented(*_REFUSALS))
def read_tokens(owner: OwnerReading, database: DatabaseDep) -> Tokens:
    """Your tokens, without their text."""
    with database.reading() as session:
        return Tokens(items=[token_answer(token) for token in accounts.list_tokens(session, owner.user_id)])


@router.delete(
    "/{token_id}", operation_id="revokeToken", responses=documented(*_REFUSALS, problems.NOT_FOUND)
)
def revoke_token(owner: Owner, token_id: TokenId, database: DatabaseDep) -> TokenAnswer:
    """Revoke one of your tokens; idempotent."""
    with writing(database, owner) as session:
        accounts.revoke_token(session, owner.user_id, token_id)
        return next(
            token_answer(token)
            for token in accounts.list_tokens(session, owner.user_id)
            if token.id == token_id
        )
