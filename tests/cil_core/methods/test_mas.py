"""MAS: the penalty, and how the importances of tasks are merged."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cil_core.engine.run import learn_task
from cil_core.learning.sensitivity import sensitivity
from cil_core.spec.events import EpochFinished
from cil_core.spec.recipes import MASRecipe


def importances(walk: Any) -> dict[str, torch.Tensor]:
    return {name: walk.method.importance.get(name).clone() for name, _ in walk.method.net.named_parameters()}


def test_right_after_growth_the_penalty_and_its_gradient_are_zero(start: Any) -> None:
    walk = start("mas")
    task = walk.grown(1)
    penalty = walk.method.losses(walk.batch(task), walk.step(task))["penalty"]
    assert penalty.item() == 0
    assert not any(g.any() for g in torch.autograd.grad(penalty, list(walk.method.net.parameters())))


def test_the_penalty_has_no_factor_of_one_half_and_leaves_new_rows_free(start: Any) -> None:
    walk = start("mas", strength=50.0, importance_max=None)
    task = walk.grown(1)
    with torch.no_grad():
        walk.method.net.head.weight.add_(0.3)
    omega = walk.method.importance.get("head.weight")
    assert omega.shape == (4, 64)
    penalty = walk.method.losses(walk.batch(task), walk.step(task))["penalty"]
    assert penalty.item() == pytest.approx(50 * omega.sum().item() * 0.3**2, rel=1e-4)
    gradient = torch.autograd.grad(penalty, walk.method.net.head.weight)[0]
    assert torch.allclose(gradient[:4], 2 * 50 * omega * 0.3, rtol=1e-3)
    assert not gradient[4:].any()


@pytest.mark.parametrize("gradients", ["per_sample", "batch"])
def test_the_importance_of_the_first_task_is_the_sensitivity_the_recipe_names(
    start: Any, gradients: str
) -> None:
    walk = start("mas", gradients=gradients, importance_max=None)
    walk.finish(0)
    size = 1 if gradients == "per_sample" else 32
    expected = sensitivity(walk.method.net, walk.task(0).train, "squared", size)
    found = importances(walk)
    assert all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.mark.parametrize(("merge", "old_weight", "new_weight"), [("sum", 1, 1), ("average", 0.5, 0.5)])
def test_importances_are_merged_on_old_rows_and_new_rows_take_the_new_ones(
    start: Any, merge: str, old_weight: float, new_weight: float
) -> None:
    walk = start("mas", merge=merge, importance_max=None)
    walk.finish(0)
    old = importances(walk)["head.weight"]
    walk.finish(1)
    fresh = sensitivity(walk.method.net, walk.task(1).train, "squared")["head.weight"]
    merged = importances(walk)["head.weight"]
    assert torch.allclose(merged[:4], old_weight * old + new_weight * fresh[:4], rtol=1e-4)
    assert torch.allclose(merged[4:], fresh[4:], rtol=1e-4)


def test_without_strength_it_is_finetuning(start: Any) -> None:
    def losses(name: str, **changes: Any) -> list[float]:
        walk = start(name, epochs=2, **changes)
        walk.finish(0)
        events = learn_task(walk.method, walk.task(1))
        return [event.losses["classification"] for event in events if isinstance(event, EpochFinished)]

    assert losses("mas", strength=0.0) == losses("finetune")


def test_the_default_takes_single_images_and_adds_tasks_up() -> None:
    recipe = MASRecipe.published()
    assert (recipe.gradients, recipe.norm, recipe.merge, recipe.strength) == (
        "per_sample",
        "squared",
        "sum",
        1.0,
    )


def test_the_bound_holds_for_the_sum_over_tasks(start: Any) -> None:
    walk = start("mas", importance_max=0.5)
    walk.finish(0)
    walk.finish(1)
    values = torch.cat([value.flatten() for value in importances(walk).values()])
    assert values.max().item() == 0.5
    assert values.min() >= 0
