"""`cil admin`: users and tokens on the server's own database."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from typer.testing import CliRunner, Result

from api.stack.admin import app
from store.access import accounts
from store.access.accounts import Scope

Admin = Callable[..., Result]


@pytest.fixture
def admin(database_url: str) -> Admin:
    return lambda *arguments: CliRunner().invoke(app, [*arguments, "--database-url", database_url])


def principal(database, token: str) -> accounts.Principal | None:
    with database.reading() as session:
        return accounts.authenticate(session, token.strip())


def test_a_new_user_gets_a_token_that_works(admin: Admin, database) -> None:
    user_id = admin("create-user", "ada").stdout.strip()
    done = admin("create-token", "ada")
    assert done.exit_code == 0
    found = principal(database, done.stdout)
    assert (found.user_id, found.user_name, found.scopes) == (user_id, "ada", {Scope.jobs_write})
    assert admin("set-role", "ada", "admin").exit_code == 0
    everything = principal(database, admin("create-token", "ada", "--scope", "admin", "--days", "1").stdout)
    assert everything.scopes == {Scope.admin}


def test_only_the_revoked_token_is_refused(admin: Admin, database) -> None:
    admin("create-user", "ada")
    first, second = (admin("create-token", "ada", "--name", name).stdout for name in ("first", "second"))
    listed = json.loads(admin("tokens", "ada").stdout)
    assert [token["name"] for token in listed] == ["second", "first"]
    assert first.strip() not in json.dumps(listed)
    assert admin("revoke", "ada", listed[1]["id"]).exit_code == 0
    assert principal(database, first) is None
    assert principal(database, second) is not None


def test_a_disabled_user_is_refused(admin: Admin, database) -> None:
    admin("create-user", "ada")
    token = admin("create-token", "ada").stdout
    assert admin("disable-user", "ada").exit_code == 0
    assert principal(database, token) is None


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("create-user", "ada"), "a user named 'ada' already exists"),
        (("create-user", "  "), "it is blank"),
        (("create-user", "a" * 65), "at most 64 characters"),
        (("create-user", "ada\nroot"), "U+000A"),
        (("create-token", "bob"), "no user is named 'bob'"),
        (("create-token", "ada", "--scope", "everything"), "unknown scope 'everything'"),
        (("revoke", "ada", "tok_1"), "this user has no token 'tok_1'"),
    ],
)
def test_a_mistake_is_reported_in_one_line(admin: Admin, arguments, complaint) -> None:
    admin("create-user", "ada")
    done = admin(*arguments)
    assert done.exit_code == 2
    assert complaint in done.stderr


def test_a_database_without_a_schema_prints_no_traceback(empty_database_url: str) -> None:
    done = CliRunner().invoke(app, ["create-user", "ada", "--database-url", empty_database_url])
    assert done.exit_code == 4
    assert "is it migrated" in done.stderr
    assert CliRunner().invoke(app, ["create-user", "ada", "--database-url", "mysql://x"]).exit_code == 2
