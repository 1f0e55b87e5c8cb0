"""Is this job one we accept? Everything a body can be refused for beyond its form, asked before anything is written."""

from __future__ import annotations

from collections.abc import Mapping

from api.settings import Settings
from cil_core import validation
from cil_core.catalog import DatasetCard
from cil_core.errors import InvalidSpec
from cil_core.spec import JobSpec


def check(spec: JobSpec, datasets: Mapping[str, DatasetCard], limits: Settings) -> None:
    """Refuse a job that cannot be run or asks for more than this service gives.

    Raises:
        InvalidSpec: says what was given and what is allowed; `field` locates it in the body.
    """
    validation.check(spec.method, spec.track, datasets)
    if len(spec.seeds) > limits.max_seeds:
        raise InvalidSpec(f"{len(spec.seeds)} seeds were given; a job may have {limits.max_seeds} at most", ("seeds",))
    for name, schedule in spec.method.schedules.items():
        if schedule.epochs > limits.max_epochs:
            raise InvalidSpec(f"{schedule.epochs} epochs were given; a schedule may have {limits.max_epochs} at most", ("method", name, "epochs"))
