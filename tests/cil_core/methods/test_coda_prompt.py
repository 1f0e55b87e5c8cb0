"""CODA-Prompt: orthogonal components per task, weighted by attention."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cil_core.nets.sites import Prefix
from cil_core.spec.errors import InvalidSpec
from cil_core.spec.jobs import Track
from cil_core.spec.recipes import CODAPromptRecipe
from cil_core.spec.validation import check

NAMES = ("keys", "attention", "prompts")


def rows(walk: Any, name: str, block: int, tasks: slice) -> torch.Tensor:
    return torch.cat([getattr(part, name)[block] for part in list(walk.method.net.sites)[tasks]]).detach()


def test_components_of_the_first_task_are_orthonormal(start_pretrained: Any) -> None:
    walk = start_pretrained("coda-prompt")
    walk.grown(0)
    for name in NAMES:
        for block in range(3):
            first = rows(walk, name, block, slice(0, 1))
            assert len(first) == 20 // 3
            assert torch.allclose(first @ first.T, torch.eye(len(first)), atol=1e-6)


def test_components_of_later_tasks_are_orthogonal_to_all_that_earlier_ones_became(
    start_pretrained: Any,
) -> None:
    walk = start_pretrained("coda-prompt", epochs=3)
    walk.grown(2)
    for name in NAMES:
        for block in range(3):
            old, new = rows(walk, name, block, slice(0, 2)), rows(walk, name, block, slice(2, 3))
            assert not torch.allclose(old @ old.T, torch.eye(len(old)), atol=1e-3)  # training moved them
            assert torch.allclose(new @ new.T, torch.eye(len(new)), atol=1e-6)
            assert (new @ old.T).abs().max() < 1e-6


def test_a_task_trains_its_components_and_rows_alone(start_pretrained: Any, differing: Any) -> None:
    walk = start_pretrained("coda-prompt")
    walk.finish(0)
    task = walk.grown_next(1)
    trained = sum(p.numel() for p in walk.method.parameters() if p.requires_grad)
    assert trained == 3 * 6 * (8 + 2) * 32 + 3 * (32 + 1)
    before = walk.state()
    list(walk.phases(task))
    changed = differing(before, walk.state())
    assert changed == {
        *(f"net.sites.1.{name}" for name in NAMES),
        "net.head.weights.1",
        "net.head.biases.1",
    }


def test_prompts_of_zeros_leave_a_prefix_of_zeros(start_pretrained: Any) -> None:
    """Half of the tokens are keys and half values: four of each."""
    walk = start_pretrained("coda-prompt")
    task = walk.grown(0)
    net = walk.method.net
    with torch.no_grad():
        net.sites[0].prompts.zero_()
        x = walk.batch(task).x
        zeros = Prefix({block: torch.zeros(len(x), 2, 4, 32) for block in range(3)}, 4)
        assert torch.allclose(net.features(x), net.embed(x, zeros), atol=1e-6)
        assert not torch.allclose(net.features(x), net.query(x), atol=1e-3)


def test_the_loss_is_cross_entropy_over_the_new_classes(start_pretrained: Any) -> None:
    walk = start_pretrained("coda-prompt")
    task = walk.grown(1)
    batch = walk.batch(task)
    walk.method.net.eval()
    logits = walk.method.net(batch.x).logits[:, task.known :]
    expected = torch.nn.functional.cross_entropy(logits, batch.y - task.known)
    found = walk.method.losses(batch, walk.step(task))
    assert list(found) == ["classification"]
    assert found["classification"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_more_tasks_than_components_are_refused() -> None:
    track = Track.from_slug("cifar224-b0-inc2-m0-vit_b16-augreg_in21k")
    check(CODAPromptRecipe.published(), track)
    few = CODAPromptRecipe.model_validate({"components": 49})
    with pytest.raises(InvalidSpec, match="50 tasks cannot share 49 components"):
        check(few, track)


def test_more_components_than_dimensions_are_refused() -> None:
    many = CODAPromptRecipe.model_validate({"preset": "small", "components": 33})
    with pytest.raises(InvalidSpec, match="as many dimensions"):
        check(many, Track.from_slug("digits-b0-inc2-m0-vit_8px-letters"))


def test_more_blocks_than_the_network_has_are_refused() -> None:
    deep = CODAPromptRecipe.model_validate({"preset": "small", "blocks": 5})
    with pytest.raises(InvalidSpec, match="prompts 5 blocks"):
        check(deep, Track.from_slug("digits-b0-inc2-m0-vit_8px-letters"))
