"""One fork server for all tests of the arena, and runs on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from cil_core.engine.checkpoint import CheckpointStore
from cil_core.spec.events import Event
from cil_core.spec.jobs import RunSpec
from tests.workers.arena.submissions import MACHINE, Examine, submission
from workers.arena.examiner import examine
from workers.arena.fork_server import ForkServer
from workers.arena.submission import Limits
from workers.sandbox import Mode, available


@pytest.fixture(scope="session")
def server() -> Iterator[ForkServer]:
    with ForkServer(torch.get_num_threads()) as running:
        yield running


@pytest.fixture
def examined(server: ForkServer) -> Examine:
    """Runs a built-in method in the arena; `changes` is code that follows its definition."""

    def run(
        spec: RunSpec, changes: str = "", checkpoints: CheckpointStore[bytes] | None = None, **limits: Any
    ) -> Iterator[Event]:
        return examine(spec, submission(spec, changes), MACHINE, server, Limits(**limits), checkpoints)

    return run


@pytest.fixture(scope="session")
def mode() -> Mode:
    """The strongest mode of this machine."""
    modes = available()
    for each in (Mode.WALLED, Mode.LOCKED):
        if modes[each] is None:
            return each
    pytest.skip(str(modes))
