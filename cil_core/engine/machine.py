"""`Machine`: where a run executes and what it may use there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cil_core.data.order import RESIDENT_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a run needs to know about the machine that executes it.

    Only `device` and `compile` affect results, and only by rounding.

    Attributes:
        device: `cpu` or `cuda:N`.
        data_root: directory of the datasets and published weights; missing ones are downloaded to it.
        resident_bytes: a larger dataset stays in its files, and batches are read from there.
        first_tasks: directory where methods that start alike share their trained first task; None disables
            sharing.
        keep_features: whether frozen features are kept below the data root and shared among runs; results
            are the same.
        compile: whether to compile the backbones of runs that are long enough to gain from it.
    """

    device: str = "cpu"
    data_root: Path
    resident_bytes: int = RESIDENT_BYTES
    first_tasks: Path | None = None
    keep_features: bool = True
    compile: bool = False
