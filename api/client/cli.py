"""`cil`: the command line.

Results are on standard output (`--json` for scripts), progress and errors on standard error.

Exit codes: 0 success; 1 a job or a run did not succeed, the service could not be started, or the output could
not be
written; 2 wrong usage, an unusable setting, or a missing package; 3 the server refused the request; 4 no
server is configured or reachable; 130 interrupted.

Commands that need more than the small install (`run`, `worker`, `up` …) come from their own packages: see
`api.client.plugin_commands`.
"""

from __future__ import annotations

import sys

import typer

from api.client import compare_command, job_commands, output, result_commands, status_command, suite_command
from api.client.errors import ClientError
from api.client.plugin_commands import Commands

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # Rich's help imports a Markdown parser: a third of the time of `cil --help`
    help="Class-incremental learning benchmarks: submit jobs, watch them, read leaderboards.",
    epilog=(
        "Exit codes: 0 success, 1 a run did not succeed, 2 wrong usage, 3 the server refused the request, "
        "4 no server answers, 130 interrupted."
    ),
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
    output.replace_unencodable()
    try:
        sys.exit(_exit_code())
    finally:
        output.flush()


def _exit_code() -> int | str | None:
    try:
        app()
    except ClientError as error:
        output.complain(str(error))
        return error.exit_code
    except SystemExit as end:
        return end.code
    except OSError as error:
        if error.filename is not None or error.errno not in output.WRITE_ERRORS:
            raise
        output.complain(f"standard output: {error.strerror}")
        return 1
    return 0
