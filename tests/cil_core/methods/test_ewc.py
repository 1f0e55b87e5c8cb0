"""EWC: when the penalty acts, on what, and how the importances of tasks are merged."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from cil_core.engine.run import learn_task
from cil_core.learning.importance import batch_fisher, fisher
from cil_core.spec.events import EpochFinished


def importances(walk: Any) -> dict[str, torch.Tensor]:
    return {name: walk.method.importance.get(name).clone() for name, _ in walk.method.net.named_parameters()}


def test_the_first_task_has_no_penalty(start: Any) -> None:
    walk = start("ewc")
    task = walk.grown(0)
    assert walk.method.losses(walk.batch(task), walk.step(task)).keys() == {"classification"}


def test_right_after_growth_the_penalty_and_its_gradient_are_zero(start: Any) -> None:
    walk = start("ewc")
    task = walk.grown(1)
    penalty = walk.method.losses(walk.batch(task), walk.step(task))["penalty"]
    assert penalty.item() == 0
    gradients = torch.autograd.grad(penalty, list(walk.method.net.parameters()))
    assert not any(gradient.any() for gradient in gradients)


def test_the_penalty_weighs_the_distance_of_old_rows_by_their_importance_and_leaves_new_rows_free(
    start: Any,
) -> None:
    walk = start("ewc", strength=50.0)
    task = walk.grown(1)
    with torch.no_grad():
        walk.method.net.head.weight.add_(0.3)
    expected = 50 * importances(walk)["head.weight"].sum().item() * 0.3**2 / 2
    assert walk.method.importance.get("head.weight").shape == (4, 64)
    assert walk.method.losses(walk.batch(task), walk.step(task))["penalty"].item() == pytest.approx(
        expected, rel=1e-4
    )


def test_importances_lie_between_zero_and_the_bound(start: Any) -> None:
    walk = start("ewc")
    walk.finish(0)
    values = torch.cat([value.flatten() for value in importances(walk).values()])
    assert values.min() >= 0
    assert values.max() == torch.tensor(1e-4)


@pytest.mark.parametrize("kind", ["per_sample", "batch"])
@pytest.mark.parametrize("labels", ["data", "model"])
def test_the_importance_of_the_first_task_is_the_fisher_the_recipe_names(
    start: Any, kind: str, labels: Any
) -> None:
    walk = start("ewc", fisher=kind, labels=labels, fisher_max=None)
    walk.finish(0)
    generator, data = walk.randomness.on_device("fisher", 0), walk.task(0).train
    expected = (
        fisher(walk.method.net, data, labels, generator)
        if kind == "per_sample"
        else batch_fisher(walk.method.net, data, 32, labels, generator)
    )
    found = importances(walk)
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_in_training_mode_the_fisher_of_augmented_batches_moves_batch_norm_statistics(
    start: Any, differing: Any
) -> None:
    walk = start("ewc", fisher="batch", fisher_mode="training", fisher_max=None)
    task = walk.grown(0)
    list(walk.phases(task))
    before, net = walk.state(), copy.deepcopy(walk.method.net)
    generator = walk.randomness.on_device("fisher", 0)
    expected = batch_fisher(net, task.train, 32, "data", generator, training=True)
    walk.method.consolidate(task)
    found = importances(walk)
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    after = {name: value for name, value in walk.state().items() if name in before}
    moved = differing(before, after)
    assert moved
    assert all(name.endswith(("running_mean", "running_var", "num_batches_tracked")) for name in moved)


@pytest.mark.parametrize(("merge", "old_weight", "new_weight"), [("average", 4 / 7, 3 / 7), ("sum", 1, 1)])
def test_importances_are_merged_on_old_rows_and_new_rows_take_the_new_ones(
    start: Any, merge: str, old_weight: float, new_weight: float
) -> None:
    walk = start("ewc", merge=merge, labels="data")
    walk.finish(0)
    old = importances(walk)["head.weight"]
    walk.finish(1)
    fresh = fisher(walk.method.net, walk.task(1).train, "data", torch.Generator())["head.weight"].clamp(
        max=1e-4
    )
    merged = importances(walk)["head.weight"]
    assert torch.allclose(merged[:4], old_weight * old + new_weight * fresh[:4], rtol=1e-4)
    assert torch.allclose(merged[4:], fresh[4:], rtol=1e-4)


def test_without_strength_it_is_finetuning(start: Any) -> None:
    def losses(name: str, **changes: Any) -> list[float]:
        walk = start(name, epochs=2, **changes)
        walk.finish(0)
        return [
            event.losses["classification"]
            for event in learn_task(walk.method, walk.task(1))
            if isinstance(event, EpochFinished)
        ]

    assert losses("ewc", strength=0.0) == losses("finetune")


def test_a_stronger_penalty_keeps_parameters_nearer(start: Any) -> None:
    def moved(strength: float) -> float:
        walk = start("ewc", epochs=3, strength=strength)
        walk.finish(0)
        before = walk.method.net.backbone.trunk[1].conv.weight.detach().clone()
        walk.finish(1)
        return float((walk.method.net.backbone.trunk[1].conv.weight.detach() - before).norm())

    assert moved(30_000.0) < 0.9 * moved(0.0)
