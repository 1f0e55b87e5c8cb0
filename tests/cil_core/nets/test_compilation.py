"""Compiled backbones compute the same up to rounding, repeatably, for full batches of long runs only."""

from __future__ import annotations

import copy
import shutil

import pytest
import torch
from torch import Tensor

from cil_core.engine.machine import Machine
from cil_core.engine.run import run
from cil_core.nets import compilation
from cil_core.nets.backbones import Backbone, build_backbone
from cil_core.nets.compilation import ENOUGH_IMAGES, batches_worth_compiling
from cil_core.nets.folding import folded
from cil_core.spec.events import EpochFinished, Event, RunFinished, RunStarted
from cil_core.spec.recipes import BY_NAME
from tests.cil_core.test_every_method import ROOT, short_spec

BATCH = 32  # as in the runs
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="compiling needs g++")
pytestmark = pytest.mark.xdist_group("compilation")  # one process compiles each kind of step once


def convnet(seed: int, *, compiled: bool = True) -> Backbone:
    backbone = build_backbone("convnet", 1, torch.Generator().manual_seed(seed))
    backbone.compiled_batches = frozenset({BATCH} if compiled else ())
    return backbone


def images(count: int) -> Tensor:
    return torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(count))


def kinds_compiled() -> int:
    from torch._dynamo.utils import counters

    found: int = counters["stats"]["unique_graphs"]
    return found


def recipe(epochs: int, later: int) -> dict[str, object]:
    return {
        "name": "icarl",
        "first_task": {"epochs": epochs, "batch_size": 10, "milestones": []},
        "later_tasks": {"epochs": later, "batch_size": 20, "milestones": []},
    }


def test_long_runs_are_compiled_and_short_ones_are_not() -> None:
    icarl = BY_NAME["icarl"]
    enough = (ENOUGH_IMAGES - 2 * 100 * 50) // 100  # two later tasks of 50 images, for 100 epochs each
    assert batches_worth_compiling(icarl.model_validate(recipe(enough, 100)), [100, 50, 50]) == {10, 20}
    assert (
        batches_worth_compiling(icarl.model_validate(recipe(enough - 1, 100)), [100, 50, 50]) == frozenset()
    )
    assert batches_worth_compiling(icarl.model_validate(recipe(1, 1)), [ENOUGH_IMAGES]) == {10}


def test_a_method_that_trains_once_is_as_long_as_its_first_task() -> None:
    once = BY_NAME["fetril"].model_validate(
        {"name": "fetril", "first_task": {"epochs": ENOUGH_IMAGES // 100, "batch_size": 10, "milestones": []}}
    )
    assert batches_worth_compiling(once, [100, 1000]) == {10}
    assert batches_worth_compiling(once, [99, 1000]) == frozenset()


@needs_compiler
def test_values_and_gradients_agree_up_to_rounding() -> None:
    compiled, plain = convnet(1).train(), convnet(1, compiled=False).train()
    x = images(BATCH)
    for net in (compiled, plain):
        net(x).square().sum().backward()
    for (name, value), expected in zip(compiled.named_parameters(), plain.parameters(), strict=True):
        assert value.grad is not None
        assert expected.grad is not None
        torch.testing.assert_close(
            value.grad, expected.grad, rtol=1e-3, atol=1e-3 * float(expected.grad.abs().max()), msg=name
        )
    for value, expected in zip(compiled.buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(value, expected)
    with torch.no_grad():
        torch.testing.assert_close(folded(compiled)(x), plain.eval()(x), rtol=1e-4, atol=1e-5)


@needs_compiler
def test_every_network_of_one_structure_shares_the_code() -> None:
    x = images(BATCH)
    convnet(1).train()(x).sum().backward()
    once = kinds_compiled()
    assert once
    other = convnet(2).train()
    other(x).sum().backward()
    copy.deepcopy(other)(x).sum().backward()
    assert kinds_compiled() == once


@needs_compiler
def test_other_sizes_are_not_compiled() -> None:
    convnet(1).train()(images(BATCH)).sum().backward()
    before = kinds_compiled()
    assert torch.equal(
        convnet(3).train()(images(BATCH + 1)), convnet(3, compiled=False).train()(images(BATCH + 1))
    )
    assert kinds_compiled() == before


def events_of(name: str, *, compiled: bool, epochs: int = 2) -> list[Event]:
    return list(
        run(
            short_spec(name, "digits-b4-inc3-m50-convnet", epochs),
            Machine(data_root=ROOT, compile=compiled),
        )
    )


def was_compiled(events: list[Event]) -> bool:
    (started,) = (event for event in events if isinstance(event, RunStarted))
    return started.compiled


def first_losses(events: list[Event]) -> dict[str, float]:
    """Of the first epoch, after which rounding has not grown to anything yet."""
    return next(event for event in events if isinstance(event, EpochFinished)).losses


@needs_compiler
@pytest.mark.parametrize("name", ["icarl", "der-wa"])
def test_a_compiled_run_is_repeatable_and_starts_like_an_eager_one(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compilation, "ENOUGH_IMAGES", 1)
    plain, first = events_of(name, compiled=False), events_of(name, compiled=True)
    assert (was_compiled(plain), was_compiled(first)) == (False, True)
    assert first[-1] == events_of(name, compiled=True)[-1]
    assert isinstance(first[-1], RunFinished)
    assert first_losses(first) == pytest.approx(first_losses(plain), rel=1e-3)


@pytest.mark.parametrize("name", ["der", "memo", "podnet"])
def test_methods_without_whole_backbones_of_one_structure_are_not_compiled(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compilation, "ENOUGH_IMAGES", 1)
    before = kinds_compiled()
    requested, plain = events_of(name, compiled=True, epochs=1), events_of(name, compiled=False, epochs=1)
    assert not was_compiled(requested)
    assert (requested, kinds_compiled()) == (plain, before)


def test_a_short_run_is_not_compiled() -> None:
    requested, plain = events_of("finetune", compiled=True), events_of("finetune", compiled=False)
    assert not was_compiled(requested)
    assert requested == plain
