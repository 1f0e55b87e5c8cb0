"""`cil admin`: users and tokens, managed on the server with access to its database.

Importing this module imports only typer: each command imports what it needs when it runs.
"""

# ruff: noqa: PLC0415 - see above
from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from store.access.accounts import Role
    from store.database.models import User

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Manage users and tokens on the server.",
)

DatabaseUrl = Annotated[str, typer.Option(envvar="CIL_DATABASE_URL", help="Database of the service.")]
RoleName = Annotated[str, typer.Option("--role", help="viewer, submitter or admin.")]
UserName = Annotated[str, typer.Argument(help="Name of the user.")]


@app.command()
def create_user(user: UserName, database_url: DatabaseUrl, role: RoleName = "submitter") -> None:
    """Add a user."""
    from store.access import accounts

    with _writing(database_url) as session:
        typer.echo(accounts.create_user(session, user, _role(role)).id)


@app.command()
def set_role(
    user: UserName,
    role: Annotated[str, typer.Argument(help="viewer, submitter or admin.")],
    database_url: DatabaseUrl,
) -> None:
    """Change the role of a user, which limits all their tokens."""
    from store.access import accounts

    with _writing(database_url) as session:
        accounts.set_role(session, _named(session, user).id, _role(role))


@app.command()
def set_share(
    user: UserName,
    share: Annotated[int, typer.Argument(min=1, max=100, help="1 is everybody's share.")],
    database_url: DatabaseUrl,
) -> None:
    """Give a user more of the workers: with share 3, thrice as many runs as a user with 1."""
    from store.access import accounts

    with _writing(database_url) as session:
        accounts.set_share(session, _named(session, user).id, share)


@app.command()
def create_token(
    user: UserName,
    database_url: DatabaseUrl,
    scope: Annotated[
        list[str] | None, typer.Option(help="Scope of the token, repeatable; by default jobs:write.")
    ] = None,
    days: Annotated[
        int | None, typer.Option(min=1, max=3650, help="Days until it expires; by default never.")
    ] = None,
    name: Annotated[str, typer.Option(help="Label of the token.")] = "cil admin",
) -> None:
    """Create a token and print it once."""
    from store.access import accounts

    lifetime = timedelta(days=days) if days else None
    with _writing(database_url) as session:
        typer.echo(
            accounts.issue_token(
                session, _named(session, user).id, name, scope or ["jobs:write"], lifetime
            ).plain
        )


@app.command()
def tokens(user: UserName, database_url: DatabaseUrl) -> None:
    """List a user's tokens as JSON, newest first, without their plain text."""
    from store.access import accounts

    with _writing(database_url) as session:
        found = accounts.list_tokens(session, _named(session, user).id)
    fields = ("id", "name", "hint", "scopes", "created_at", "expires_at", "revoked_at", "last_used_at")
    typer.echo(
        json.dumps(
            [{field: getattr(token, field) for field in fields} for token in found], indent=2, default=str
        )
    )


@app.command(name="revoke")
def revoke_token(
    user: UserName,
    token_id: Annotated[str, typer.Argument(help="Id of the token (tok_…).")],
    database_url: DatabaseUrl,
) -> None:
    """Revoke a token."""
    from store.access import accounts

    with _writing(database_url) as session:
        accounts.revoke_token(session, _named(session, user).id, token_id)


@app.command()
def disable_user(user: UserName, database_url: DatabaseUrl) -> None:
    """Disable a user and all their tokens."""
    from store.access import accounts

    with _writing(database_url) as session:
        accounts.disable_user(session, _named(session, user).id)


@contextmanager
def _writing(database_url: str) -> Iterator[Session]:
    """A transaction; a refusal of the store is printed, and the exit code is 2."""
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    from store.database.errors import StoreError
    from store.database.session import Database

    try:
        with ExitStack() as stack:
            database = Database(database_url)
            stack.callback(database.dispose)
            yield stack.enter_context(database.transaction())
    except (StoreError, ValueError, ArgumentError) as error:
        typer.secho(str(error), fg="red", err=True)
        raise typer.Exit(2) from None
    except SQLAlchemyError as error:
        typer.secho(
            f"cannot use the database (is it migrated?): {getattr(error, 'orig', None) or error}",
            fg="red",
            err=True,
        )
        raise typer.Exit(4) from None


def _role(name: str) -> Role:
    from store.access.accounts import Role

    if name not in {role.value for role in Role}:
        raise ValueError(f"unknown role {name!r}; known: {', '.join(Role)}")
    return Role(name)


def _named(session: Session, name: str) -> User:
    from store.access import accounts
    from store.database.errors import NotFound

    user = accounts.user_named(session, name)
    if user is None:
        raise NotFound(f"no user is named {name!r}")
    return user
