"""`cil run --method FILE`: a run of a submitted method, as the service would execute it.

The file runs in the arena, in a process per task. The result has the digest that the service would report.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from pydantic import ValidationError

from cil_core.spec import folder_datasets, method_file
from cil_core.spec.errors import EngineError, InvalidMethodFile
from cil_core.spec.jobs import RunSpec, SubmittedJobSpec
from cil_core.spec.method_file import MethodFile
from cil_core.spec.submitted_method import SubmittedMethod
from cil_core.spec.validation import resolved
from workers.arena.messages import Sandbox
from workers.cli.result_file import checked_or_exit
from workers.sandbox import Mode, available

if TYPE_CHECKING:
    from cil_core.engine.machine import Machine
    from cil_core.spec.events import Event
    from workers.arena.fork_server import ForkServer


def read_file_or_exit(path: Path) -> MethodFile:
    """The submitted file; prints why it cannot be submitted and exits with code 2 otherwise."""
    try:
        return method_file.read(path.read_bytes())
    except (InvalidMethodFile, OSError) as error:
        typer.echo(f"{path}: {error}", err=True)
        raise typer.Exit(2) from error


def read_specs_or_exit(path: Path, file: MethodFile, data_root: Path) -> tuple[RunSpec, ...]:
    """The runs in a spec file, with the hyper-parameters that the method's file allows."""
    prefix = "/"
    try:
        content = _object(path)
        prefix = "/method/"
        method = SubmittedMethod.of(file, content.pop("method", {}))
        prefix = "/"
        specs = _runs(content | {"method": method})
        cards = folder_datasets.cards(data_root)
        return tuple(one.model_copy(update={"track": resolved(one.track, cards)}) for one in specs)
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            typer.echo(f"{path}: {prefix}{'/'.join(map(str, fault['loc']))}: {fault['msg']}", err=True)
        raise typer.Exit(2) from error
    except (ValueError, EngineError) as error:
        typer.echo(f"{path}: {error}", err=True)
        raise typer.Exit(2) from error


def sandbox_or_exit(wanted: bool) -> Sandbox:
    """The strongest sandbox of this machine, or `off`; exits with code 2 if none works."""
    if not wanted:
        return "off"
    modes = available()
    strongest: tuple[Sandbox, ...] = ("walled", "locked")
    for name in strongest:
        if modes[Mode(name)] is None:
            return name
    for mode, reason in modes.items():
        typer.echo(f"sandbox {mode.value}: {reason}", err=True)
    raise typer.Exit(2)


def _object(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text())
    if not isinstance(content, dict) or not isinstance(content.get("method", {}), dict):
        raise ValueError('a spec is a JSON object with "track", "seeds" (or one "seed"), and maybe "method"')
    return content


def _runs(content: dict[str, Any]) -> Sequence[RunSpec]:
    if "seed" in content:
        return [RunSpec.model_validate(content)]
    return SubmittedJobSpec.model_validate(content).runs()


def run_submitted(
    spec: Path, method: Path, device: str, data_dir: Path, out: Path | None, *, sandbox: bool
) -> int:
    """Run a submitted method and write the result; returns the exit code.

    Args:
        spec: file of the job or run.
        method: file of the method.
        device: `cpu` or `cuda:N`.
        data_dir: holds datasets/.
        out: where the result goes; None for standard output.
        sandbox: whether to confine the file.
    """
    file = read_file_or_exit(method)
    specs, result_file = read_specs_or_exit(spec, file, data_dir / "datasets"), checked_or_exit(out)
    mode = sandbox_or_exit(sandbox)
    from cil_core.engine.machine import Machine  # noqa: PLC0415 - a mistake above costs no import of PyTorch
    from workers.arena.fork_server import ForkServer  # noqa: PLC0415 - likewise
    from workers.cli.standalone import execute  # noqa: PLC0415 - likewise

    machine = Machine(device=device, data_root=data_dir / "datasets")
    with ForkServer(threads()) as server:
        start = partial(_events, file=file, server=server, sandbox=mode)
        return execute(specs, machine, result_file, start, sandbox=mode)


def threads() -> int:
    """CPU threads of a candidate: those of this process."""
    import torch  # noqa: PLC0415 - see above

    return torch.get_num_threads()


def _events(
    spec: RunSpec, machine: Machine, file: MethodFile, server: ForkServer, sandbox: Sandbox
) -> Iterator[Event]:
    from workers.arena.examiner import examine  # noqa: PLC0415 - see above
    from workers.arena.submission import Limits, Submission  # noqa: PLC0415 - see above

    submission = Submission(file.text, spec.method.recipe(file))
    return examine(spec, submission, machine, server, Limits(sandbox=sandbox))
