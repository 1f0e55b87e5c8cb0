"""The input of `cil run`: JSON of a job, as for `POST /jobs`, or of one run.

Torch-free, so that a mistake is reported at once.
"""

from __future__ import annotations

import json
from pathlib import Path

import typer
from pydantic import ValidationError

from cil_core.spec import folder_datasets
from cil_core.spec.errors import EngineError
from cil_core.spec.jobs import JobSpec, RunSpec
from cil_core.spec.validation import resolved


def read(path: Path) -> tuple[RunSpec, ...]:
    """The runs in a file.

    Raises:
        ValueError: it is not the JSON of a job or a run; pydantic's ValidationError is a ValueError.
    """
    content = json.loads(path.read_text())
    if not isinstance(content, dict):
        raise ValueError(
            'a spec is a JSON object with "method", "track" and "seeds" (or one "seed"), '
            f"not a {type(content).__name__}"
        )
    return (RunSpec.model_validate(content),) if "seed" in content else JobSpec.model_validate(content).runs()


def read_or_exit(path: Path, data_root: Path) -> tuple[RunSpec, ...]:
    """The runs in a file, class names replaced by numbers; an invalid file exits with code 2."""
    try:
        return tuple(_resolved(spec, data_root) for spec in read(path))
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            typer.echo(f"{path}: /{'/'.join(map(str, fault['loc']))}: {fault['msg']}", err=True)
        raise typer.Exit(2) from error
    except (ValueError, EngineError) as error:
        typer.echo(f"{path}: {error}", err=True)
        raise typer.Exit(2) from error


def _resolved(spec: RunSpec, data_root: Path) -> RunSpec:
    if isinstance(spec.track.protocol.class_order, int):
        return spec
    return spec.model_copy(update={"track": resolved(spec.track, folder_datasets.cards(data_root))})
