"""The commands `cil worker`, `cil run` and `cil gc`.

Importing this module imports only typer: each command imports what it needs.
"""

# ruff: noqa: PLC0415 - see above
from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def worker(
    device: Annotated[str, typer.Option(help="Device of the runs: cpu or cuda:N.")] = "cpu",
    slots: Annotated[
        int, typer.Option(min=1, max=64, help="Concurrent runs; they share the device and the cores.")
    ] = 1,
    queue: Annotated[
        str | None, typer.Option(help="Queue to take runs from; by default the queue cil.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Holds datasets/ and checkpoints/; by default CIL_DATA_DIR.")
    ] = None,
) -> None:
    """Execute queued runs until SIGTERM or Ctrl-C, which release the running ones."""
    from store import logs
    from store.celery_config import DEFAULT_QUEUE
    from workers.cli.terminal import settings
    from workers.parent.service import CannotServe, serve

    known = settings(data_dir)
    logs.configure(known.log_format)
    try:
        serve(known, device=device, slots=slots, queue=queue or DEFAULT_QUEUE)
    except CannotServe as error:
        typer.echo(f"cil worker: {error}", err=True)
        raise typer.Exit(2) from error


def run(
    spec: Annotated[
        Path,
        typer.Argument(
            exists=True,
            dir_okay=False,
            help="A JSON file as for POST /jobs, or with one seed instead of seeds.",
        ),
    ],
    device: Annotated[str, typer.Option(help="Device of the runs: cpu or cuda:N.")] = "cpu",
    data_dir: Annotated[Path, typer.Option(envvar="CIL_DATA_DIR", help="Holds datasets/.")] = Path("var"),
    out: Annotated[
        Path | None,
        typer.Option(help="File for the result, complete after every seed; by default standard output."),
    ] = None,
    compiled: Annotated[
        bool,
        typer.Option(
            "--compile", help="Compile backbones if the run is long enough to gain from it; needs g++."
        ),
    ] = False,
    method: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Your method, one Python file; the spec's method sets its values.",
        ),
    ] = None,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="Confine the method's file, as the service does; needs Linux.")
    ] = False,
) -> None:
    """Run the engine without a service: progress on standard error, the result as JSON.

    A seed that fails does not stop the others; the exit code is then 1.
    """
    if method is not None:
        from workers.cli.submitted_run import run_submitted

        raise typer.Exit(run_submitted(spec, method, device, data_dir, out, sandbox=sandbox))
    from workers.cli.result_file import checked_or_exit
    from workers.cli.spec_file import read_or_exit
    from workers.parent import compiler

    if compiled and (missing := compiler.missing_for("--compile")):
        typer.echo(f"cil run: {missing}", err=True)
        raise typer.Exit(2)
    specs, result_file = read_or_exit(spec, data_dir / "datasets"), checked_or_exit(out)
    from cil_core.engine.machine import Machine
    from workers.cli.standalone import execute

    machine = Machine(device=device, data_root=data_dir / "datasets", compile=compiled)
    raise typer.Exit(execute(specs, machine, result_file))


def gc(
    data_dir: Annotated[
        Path | None, typer.Option(help="Holds checkpoints/; by default CIL_DATA_DIR.")
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(
            help="Finished runs whose checkpoints stay: none, failed or all; by default CIL_KEEP_CHECKPOINTS."
        ),
    ] = None,
    free: Annotated[
        bool, typer.Option("--free", help="Delete them; without it they are only listed.")
    ] = False,
) -> None:
    """List the checkpoints on this machine, and delete those of finished runs. Results stay."""
    from workers.cli.terminal import collect_garbage, settings

    collect_garbage(settings(data_dir, keep), free=free)
