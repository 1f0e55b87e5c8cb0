"""`cil`: the command line. Results on standard output (`--json` for scripts), progress and errors on standard error.

Exit codes: 0 done; 1 the job or a run did not succeed, or the service could not be started; 2 wrong usage, or something is not installed;
3 the server refused the request; 4 no server is known, or it does not answer; 130 interrupted.

What needs more than the small install (`run`, `worker`, `up` …) is offered by its own package: see `api.client.plugin_commands`.
"""

from __future__ import annotations

import sys

import typer

from api.client import compare_command, job_commands, result_commands, status_command, suite_command
from api.client.errors import ClientError
from api.client.plugin_commands import Commands

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # its help imports a Markdown parser: a third of the time in which `cil --help` answers
    help="Class-incremental learning benchmarks: submit jobs, watch them, read leaderboards.",
    epilog="Exit codes: 0 done, 1 a run did not succeed, 2 wrong usage, 3 the server refused, 4 no server answers, 130 interrupted.",
)
for command in (
    *job_commands.COMMANDS,
    *result_commands.COMMANDS,
    *compare_command.COMMANDS,
    *status_command.COMMANDS,
):
    app.command()(command)
app.add_typer(suite_command.suite, name="suite")


def main() -> None:
    """The console script."""
    try:
        app()
    except ClientError as error:
        typer.secho(str(error), fg="red", err=True)
        sys.exit(error.exit_code)
