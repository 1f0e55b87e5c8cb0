"""A first task loaded from another method changes no result; only methods that start alike share it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cil_core.engine.machine import Machine
from cil_core.engine.registry import method_class
from cil_core.engine.run import run
from cil_core.spec.events import EpochFinished, Event, RunFinished, TaskEvaluated
from cil_core.spec.jobs import RunSpec
from cil_core.spec.recipes import BY_NAME
from cil_core.spec.schedule import Schedule

SCHEDULE = Schedule(epochs=1, batch_size=64, lr=0.02).model_dump()
TRACK = "digits-b4-inc3-m50-convnet"


def events_of(
    name: str, shared: Path | None, *, seed: int = 1, track: str = TRACK, **fields: object
) -> list[Event]:
    schedules = dict.fromkeys(BY_NAME[name].published().schedules, SCHEDULE)
    spec = RunSpec.model_validate(
        {"method": {"name": name, **schedules, **fields}, "track": track, "seed": seed}
    )
    return list(run(spec, Machine(data_root=Path("/nonexistent"), first_tasks=shared)))


def was_shared(events: list[Event]) -> bool:
    first = next(event for event in events if isinstance(event, TaskEvaluated))
    trained = any(isinstance(event, EpochFinished) and event.task == 0 for event in events)
    assert trained != bool(first.diagnostics.get("first_task_shared"))
    return not trained


def digest(events: list[Event]) -> str:
    assert isinstance(events[-1], RunFinished)
    return events[-1].matrix_digest


PLAIN = sorted(
    name for name in BY_NAME if method_class(name).plain_first_task or name == "icarl"
)  # which depends on its loss


def test_several_methods_start_alike() -> None:
    assert {"finetune", "replay", "lwf", "ewc", "icarl", "wa", "ranpac", "acil"} <= set(PLAIN)


@pytest.mark.parametrize("name", PLAIN)
def test_a_shared_first_task_changes_nothing(name: str, tmp_path: Path) -> None:
    fields: dict[str, object] = {
        "wa": {"clip_weights": False, "bias": True},
        "ranpac": {"expansion": 100},
        "acil": {"expansion": 100},
        "ds-al": {"expansion": 100},
        "gkeal": {"centres": 100},
    }.get(name, {})
    other = {"finetune": "replay", "acil": "gkeal", "ds-al": "gkeal", "gkeal": "acil"}.get(name, "finetune")
    small: dict[str, object] = {"acil": {"expansion": 9}, "gkeal": {"centres": 9}}.get(other, {})
    assert not was_shared(events_of(other, tmp_path, **small))
    taken = events_of(name, tmp_path, **fields)
    assert was_shared(taken)
    assert digest(taken) == digest(events_of(name, None, **fields))


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 2},
        {"track": "digits-b4-inc3-m50-convnet-order7"},
        {"track": "digits-b2-inc4-m50-convnet"},
        {"first_task": {**SCHEDULE, "lr": 0.03}},
    ],
)
def test_runs_that_start_differently_share_nothing(changes: dict[str, object], tmp_path: Path) -> None:
    events_of("finetune", tmp_path)
    assert not was_shared(events_of("replay", tmp_path, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("owner", "name", "value"),
    [
        (torch, "__version__", "0.0.0"),
        (torch, "get_num_threads", lambda: 1000),
        (torch.backends.cpu, "get_cpu_capability", lambda: "another"),
    ],
)
def test_runs_that_round_differently_share_nothing(
    owner: object, name: str, value: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events_of("finetune", tmp_path)
    monkeypatch.setattr(owner, name, value)
    assert not was_shared(events_of("replay", tmp_path))


def test_the_memory_and_later_tasks_may_differ(tmp_path: Path) -> None:
    events_of("finetune", tmp_path, track="digits-b4-inc3-m0-convnet")
    assert was_shared(events_of("replay", tmp_path, track="digits-b4-inc2-m100-convnet"))


@pytest.mark.parametrize(
    ("name", "fields"), [("icarl", {"loss": "bce"}), ("wa", {}), ("bic", {}), ("ucir", {}), ("der", {})]
)
def test_methods_with_a_first_task_of_their_own_share_nothing(
    name: str, fields: dict[str, object], tmp_path: Path
) -> None:
    events_of("finetune", tmp_path)
    assert not was_shared(events_of(name, tmp_path, **fields))


def test_a_damaged_file_is_replaced_by_training(tmp_path: Path) -> None:
    events_of("finetune", tmp_path)
    (file,) = tmp_path.glob("*.pt")
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    assert not was_shared(events_of("replay", tmp_path))
    assert was_shared(events_of("lwf", tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
