"""The commands `cil method new` and `cil method check`: a method of your own, developed at home."""

# ruff: noqa: PLC0415 - each command imports what it needs
from __future__ import annotations

import keyword
import re
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

method = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Write a method of your own in one file, and check it as the service does.",
)


@method.command("new")
def new(
    name: Annotated[str, typer.Argument(help="Name of the method: lower case, with hyphens.")],
    out: Annotated[
        Path | None, typer.Option(help="Where to write the file; by default NAME.py in this directory.")
    ] = None,
) -> None:
    """Write a commented file that passes the check."""
    path = out or Path(f"{name.replace('-', '_')}.py")
    stem = name.title().replace("-", "")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or len(name) > 40 or keyword.iskeyword(stem):
        typer.echo(f"{name!r} is no name of a method: use lower case and hyphens, as in my-method", err=True)
        raise typer.Exit(2)
    text = resources.files("workers.cli").joinpath("method_template.txt").read_text(encoding="utf-8")
    for word, value in {
        "TITLE": name.replace("-", " ").capitalize(),
        "CLASS": stem,
        "NAME": name,
        "FILE": path.name,
    }.items():
        text = text.replace(word, value)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        typer.echo(f"cannot write {path}: {error.strerror}", err=True)
        raise typer.Exit(2) from error
    typer.echo(f"wrote {path}; next: cil method check {path}")


@method.command("check")
def check(
    path: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The file of the method.")],
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="Confine the file, as the service does; needs Linux.")
    ] = False,
) -> None:
    """Check a method: it is read, then learns the digits several times, which takes about a minute.

    The exit code is 1 if a check fails, and 2 if the file cannot be read.
    """
    from workers.cli.submitted_run import read_file_or_exit, sandbox_or_exit, threads

    file = read_file_or_exit(path)
    recipe = file.recipe
    typer.echo(f"read: {recipe.title} ({recipe.model_fields['name'].default}), SHA-256 {file.digest}")
    mode = sandbox_or_exit(sandbox)
    typer.echo(f"sandbox: {mode}" + ("" if sandbox else "; the file runs with your rights"))
    from cil_core.engine.machine import Machine
    from cil_core.spec.errors import CannotConfine
    from workers.arena.checks import check as check_method
    from workers.arena.fork_server import ForkServer

    failed = 0
    with ForkServer(threads()) as server:
        try:
            for one in check_method(file, Machine(data_root=Path("var/datasets")), server, mode):
                failed += one.fault is not None
                typer.echo(f"FAIL {one.fact}: {one.fault}" if one.fault else f"ok   {one.fact}")
        except (CannotConfine, ChildProcessError) as error:
            typer.echo(f"this machine cannot check it: {error}", err=True)
            raise typer.Exit(2) from error
    raise typer.Exit(1 if failed else 0)
