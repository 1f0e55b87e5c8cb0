"""Users and tokens: who gets in, and with what."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import event, select, update

from store.access import accounts
from store.access.accounts import Role, Scope
from store.database.clock import now
from store.database.errors import AlreadyExists, NotFound
from store.database.models import Token
from store.database.session import Database


@pytest.fixture
def ada(database: Database) -> str:
    """A user's id."""
    with database.transaction() as session:
        return accounts.create_user(session, "ada").id


def issue(
    database: Database, user_id: str, *scopes: str, lifetime: timedelta | None = None
) -> accounts.IssuedToken:
    with database.transaction() as session:
        return accounts.issue_token(session, user_id, "laptop", scopes or ["jobs:write"], lifetime)


def change_role(database: Database, user_id: str, role: Role) -> None:
    with database.transaction() as session:
        accounts.set_role(session, user_id, role)


def who(database: Database, token: str) -> accounts.Principal | None:
    with database.reading() as session:
        return accounts.authenticate(session, token)


@pytest.mark.parametrize("name", ["", " ", "a" * 65, "a\nb", "a\u2028b", "\x1b[2J", "\u202enimda"])
def test_a_name_that_cannot_be_shown_on_one_line_is_refused(database: Database, name: str) -> None:
    with database.transaction() as session, pytest.raises(ValueError, match="user's name"):
        accounts.create_user(session, name)


def test_a_token_authenticates_its_user_with_its_scopes(database: Database, ada: str) -> None:
    issued = issue(database, ada, "jobs:write", "tokens:write")
    principal = who(database, issued.plain)
    assert principal == accounts.Principal(
        ada, "ada", issued.id, frozenset({Scope.jobs_write, Scope.tokens_write}), use_is_due=True
    )
    assert principal.may(Scope.jobs_write)
    assert not principal.may(Scope.admin)


def test_an_administrator_may_everything(database: Database, ada: str) -> None:
    change_role(database, ada, Role.admin)
    principal = who(database, issue(database, ada, "admin").plain)
    assert principal is not None
    assert all(principal.may(scope) for scope in Scope)


def test_a_role_limits_what_tokens_can_be_given(database: Database, ada: str) -> None:
    with pytest.raises(
        ValueError,
        match="the role submitter does not allow the scope 'admin'; "
        "allowed: jobs:write, results:write, tokens:write",
    ):
        issue(database, ada, "admin")
    change_role(database, ada, Role.viewer)
    with pytest.raises(
        ValueError, match="the role viewer does not allow the scope 'jobs:write'; allowed: none"
    ):
        issue(database, ada)


def test_a_former_administrator_loses_the_role_with_every_token(database: Database, ada: str) -> None:
    change_role(database, ada, Role.admin)
    token = issue(database, ada, "admin", "jobs:write").plain
    change_role(database, ada, Role.submitter)
    principal = who(database, token)
    assert principal is not None
    assert principal.scopes == {Scope.jobs_write}
    with pytest.raises(NotFound, match="usr_nobody"):
        change_role(database, "usr_nobody", Role.admin)


def test_the_plain_token_is_stored_nowhere(database: Database, ada: str) -> None:
    issued = issue(database, ada)
    with database.reading() as session:
        row = session.scalars(select(Token)).one()
    assert issued.plain.startswith("cil_")
    assert len(issued.plain) == 4 + 64 + 8
    assert issued.plain not in {str(getattr(row, column.name)) for column in Token.__table__.columns}
    assert (row.hint, row.name) == (issued.plain[:10], "laptop")


def test_a_mistyped_token_is_refused_without_asking_the_database(database: Database, ada: str) -> None:
    plain = issue(database, ada).plain
    asked: list[str] = []
    event.listen(
        database.engine, "before_cursor_execute", lambda _c, _cursor, statement, *_: asked.append(statement)
    )
    wrong = [
        plain[:-1] + ("0" if plain[-1] != "0" else "1"),
        plain[:20],
        plain.upper(),
        "cil_",
        "",
        "Bearer",
        plain + "\n",
        "cil_" + "é" * 72,
    ]
    assert [who(database, token) for token in wrong] == [None] * len(wrong)
    assert not [statement for statement in asked if "tokens" in statement]


def test_a_well_formed_token_that_was_never_issued_is_refused(
    database: Database, ada: str, tmp_path: object
) -> None:
    plain = issue(database, ada).plain
    with database.transaction() as session:
        session.query(Token).delete()
    assert who(database, plain) is None


def test_a_revoked_token_is_refused_and_stays_revoked(database: Database, ada: str) -> None:
    issued = issue(database, ada)
    with database.transaction() as session:
        revoked_at = accounts.revoke_token(session, ada, issued.id)
    assert who(database, issued.plain) is None
    with database.transaction() as session:
        assert accounts.revoke_token(session, ada, issued.id) == revoked_at
        assert [token.revoked_at for token in accounts.list_tokens(session, ada)] == [revoked_at]


def test_a_user_cannot_revoke_the_token_of_another(database: Database, ada: str) -> None:
    issued = issue(database, ada)
    with pytest.raises(NotFound, match="no token"), database.transaction() as session:
        accounts.revoke_token(session, accounts.create_user(session, "eve").id, issued.id)
    assert who(database, issued.plain) is not None


def test_a_token_expires_by_the_databases_clock(database: Database, ada: str) -> None:
    issued = issue(database, ada, lifetime=timedelta(hours=1))
    assert who(database, issued.plain) is not None
    with database.transaction() as session:
        session.execute(update(Token).values(expires_at=now(-timedelta(seconds=1))))
    assert who(database, issued.plain) is None


def test_a_disabled_user_is_refused(database: Database, ada: str) -> None:
    issued = issue(database, ada)
    with database.transaction() as session:
        accounts.disable_user(session, ada)
    assert who(database, issued.plain) is None
    with pytest.raises(NotFound, match="usr_nobody"), database.transaction() as session:
        accounts.disable_user(session, "usr_nobody")


def test_use_is_noted_once_a_minute(database: Database, ada: str) -> None:
    token = issue(database, ada)

    def is_due() -> bool:
        principal = who(database, token.plain)
        assert principal is not None
        return principal.use_is_due

    def noted() -> object:
        with database.transaction() as session:
            accounts.note_use(session, token.id)
        with database.reading() as session:
            return session.scalars(select(Token.last_used_at)).one()

    assert is_due()
    first = noted()
    assert first is not None
    assert not is_due()
    assert noted() == first
    with database.transaction() as session:
        session.execute(update(Token).values(last_used_at=now(-timedelta(minutes=2))))
    assert is_due()
    assert noted() >= first  # type: ignore[operator]


def test_an_unknown_scope_is_refused_with_the_known_ones(database: Database, ada: str) -> None:
    with pytest.raises(ValueError, match="unknown scope 'root'; known: jobs:write"):
        issue(database, ada, "root")


def test_a_name_is_taken_once(database: Database, ada: str) -> None:
    with pytest.raises(AlreadyExists, match="'ada'"), database.transaction() as session:
        accounts.create_user(session, "ada")
    with database.reading() as session:
        found = accounts.user_named(session, "ada")
        assert found is not None
        assert found.id == ada
        assert accounts.user_named(session, "bob") is None
