"""Deletion of checkpoints that no run needs any more. Results are in the database and stay.

Decisions:
    * Only the database says that a run is terminal; the folder of an unknown run may belong to another
      service and stays.
    * A folder is renamed before it is emptied, so no reader sees half a run.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from store.database.models import Run
from store.database.states import RunState
from workers.parent.settings import KeepCheckpoints

_BATCH = 500
_TRASH = ".trash-"


@dataclass(frozen=True, slots=True)
class CheckpointFolder:
    """The checkpoints of one run on this machine.

    Attributes:
        run_id: the run.
        state: of the run; None if the database does not know it.
        folder: their location.
        size_bytes: their size.
    """

    run_id: str
    state: RunState | None
    folder: Path
    size_bytes: int


def checkpoint_folders(session: Session, checkpoints: Path) -> list[CheckpointFolder]:
    """The runs with checkpoints in the directory, by run id."""
    folders = {folder.name: folder for folder in sorted(checkpoints.glob("run_*")) if folder.is_dir()}
    states: dict[str, RunState] = {}
    for names in _batches(list(folders)):
        states.update(
            (run_id, state)
            for run_id, state in session.execute(select(Run.id, Run.state).where(Run.id.in_(names)))
        )
    return [
        CheckpointFolder(name, states.get(name), folder, _size(folder)) for name, folder in folders.items()
    ]


def is_removable(item: CheckpointFolder, policy: KeepCheckpoints) -> bool:
    """Whether the policy allows their deletion."""
    if item.state is None or not item.state.is_terminal or policy is KeepCheckpoints.ALL:
        return False
    return policy is KeepCheckpoints.NONE or item.state is RunState.succeeded


def remove(item: CheckpointFolder) -> None:
    """Delete the checkpoints; does nothing if another process has."""
    trash = item.folder.with_name(_TRASH + item.run_id)
    with suppress(FileNotFoundError):
        item.folder.rename(trash)
    shutil.rmtree(trash, ignore_errors=True)


def sweep(session: Session, checkpoints: Path, policy: KeepCheckpoints) -> list[CheckpointFolder]:
    """Delete what the policy allows; returns what was deleted."""
    for trash in checkpoints.glob(_TRASH + "*"):
        shutil.rmtree(trash, ignore_errors=True)
    removed = [item for item in checkpoint_folders(session, checkpoints) if is_removable(item, policy)]
    for item in removed:
        remove(item)
    return removed


def _batches(names: list[str]) -> Iterator[list[str]]:
    return (names[start : start + _BATCH] for start in range(0, len(names), _BATCH))


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # a running attempt prunes as it goes
            total += path.stat().st_size
    return total
