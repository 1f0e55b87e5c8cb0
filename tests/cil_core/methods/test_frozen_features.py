"""Methods on frozen features: one pass of the network, and the same numbers with and without the cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cil_core.engine.machine import Machine
from cil_core.engine.run import run
from cil_core.spec.catalog import WEIGHTS
from cil_core.spec.events import EpochFinished, Event, RunFinished, TaskEvaluated
from cil_core.spec.jobs import RunSpec
from cil_core.spec.recipes import BY_NAME

LETTERS = WEIGHTS["vit_8px-letters"]
CHANGES: dict[str, dict[str, Any]] = {
    "fecam": {"preset": "pretrained", "augmentation": "dataset"},
    "fetril": {"preset": "small", "head": {"epochs": 3, "milestones": []}},
}
NAMES = sorted(name for name, kind in BY_NAME.items() if kind.needs == "frozen features")


def events_of(name: str, root: Path, *, keep: bool) -> list[Event]:
    spec = RunSpec.model_validate(
        {
            "method": {"name": name, **CHANGES.get(name, {"preset": "small"})},
            "track": "digits-b4-inc3-m0-vit_8px-letters",
            "seed": 1,
        }
    )
    return list(run(spec, Machine(data_root=root, keep_features=keep)))


def results(events: list[Event]) -> list[Event]:
    """All events without the progress of the features."""
    return [event for event in events if not (isinstance(event, EpochFinished) and event.phase == "features")]


@pytest.mark.parametrize("name", NAMES)
def test_kept_features_change_no_number(name: str, tmp_path: Path) -> None:
    without = events_of(name, tmp_path, keep=False)
    assert not (tmp_path / "features").exists()
    first, again = events_of(name, tmp_path, keep=True), events_of(name, tmp_path, keep=True)
    assert results(first) == results(without) == results(again)
    assert len(results(again)) == len(again)
    assert isinstance(again[-1], RunFinished)
    assert again[-1].features_sha256 is not None


@pytest.mark.parametrize("name", NAMES)
def test_on_frozen_features_only_heads_train_and_the_network_is_charged(name: str, tmp_path: Path) -> None:
    events = results(events_of(name, tmp_path, keep=False))
    trained = {event.phase for event in events if isinstance(event, EpochFinished)}
    assert trained == ({"classifier"} if name == "fetril" else set())
    evaluated = [event for event in events if isinstance(event, TaskEvaluated)]
    assert {event.footprint.backbone_parameters for event in evaluated} == {LETTERS.parameters}
    last = evaluated[-1]
    assert sum(last.results["linear"].correct) / sum(last.test_images) > 0.4


def test_all_methods_with_statistics_alone_need_frozen_features_only() -> None:
    assert {"simplecil", "ranpac", "fecam", "acil", "fetril", "ds-al", "gkeal"} <= set(NAMES)
