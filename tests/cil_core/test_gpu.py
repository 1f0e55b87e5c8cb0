"""On a GPU every method is repeatable, compiled or not, and a backbone agrees with the CPU."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

from cil_core.engine.checkpoint import Checkpoints
from cil_core.engine.machine import Machine
from cil_core.engine.run import run
from cil_core.nets import compilation
from cil_core.nets.backbones import PRECISIONS, build_backbone
from cil_core.spec.events import Event, RunFinished, RunStarted, TaskEvaluated
from cil_core.spec.recipes import BY_NAME
from tests.cil_core.test_every_method import ROOT, short_spec

DEVICE = "cuda:0"
TRACK = "digits-b4-inc3-m60-convnet-holdout50"
BATCH = 16
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]
every_method = pytest.mark.parametrize("name", sorted(BY_NAME))


def events_of(name: str, *, compiled: bool = False, checkpoints: Checkpoints | None = None) -> list[Event]:
    return list(
        run(
            short_spec(name, TRACK),
            Machine(device=DEVICE, data_root=ROOT, compile=compiled),
            checkpoints,
        )
    )


@every_method
def test_the_same_seed_gives_the_same_matrix(name: str) -> None:
    first = events_of(name)
    assert isinstance(first[-1], RunFinished)
    assert events_of(name) == first


@every_method
def test_a_compiled_run_gives_the_same_matrix(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation, "ENOUGH_IMAGES", 1)
    first = events_of(name, compiled=True)
    assert isinstance(first[-1], RunFinished)
    assert events_of(name, compiled=True)[-1] == first[-1]


@every_method
def test_a_resumed_run_ends_bit_identically(name: str, tmp_path: Path) -> None:
    for event in run(
        short_spec(name, TRACK),
        Machine(device=DEVICE, data_root=ROOT),
        Checkpoints(tmp_path / "attempt-1"),
    ):
        if isinstance(event, TaskEvaluated) and event.task == 1:
            break
    resumed = events_of(name, checkpoints=Checkpoints(tmp_path / "attempt-2", [tmp_path / "attempt-1"]))
    assert isinstance(resumed[0], RunStarted)
    assert resumed[0].resumed_at == 2
    assert resumed[-1] == events_of(name)[-1]


@pytest.mark.parametrize("precision", sorted(PRECISIONS))
def test_features_and_gradients_agree_with_the_cpu_up_to_rounding(precision: str) -> None:
    here = build_backbone("resnet32", 3, torch.Generator().manual_seed(1)).train()
    here.compute_in(PRECISIONS[precision])
    there, compiled = (copy.deepcopy(here).to(DEVICE).to(memory_format=torch.channels_last) for _ in range(2))
    compiled.compiled_batches = frozenset({BATCH})
    x = torch.rand(BATCH, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    expected = here(x)
    expected.square().sum().backward()
    for backbone in (there, compiled):
        found = backbone(x.to(DEVICE))
        found.square().sum().backward()
        torch.testing.assert_close(
            found.cpu(), expected, rtol=0.05, atol=0.05 * float(expected.detach().abs().max())
        )
        ours, theirs = (
            torch.cat([p.grad.flatten().cpu() for p in net.parameters() if p.grad is not None])
            for net in (backbone, here)
        )
        assert torch.cosine_similarity(ours, theirs, dim=0) > 0.95
