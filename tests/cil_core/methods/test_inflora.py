"""InfLoRA: updates that leave keys and values of old inputs alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cil_core.spec.errors import InvalidSpec


def test_only_up_projections_and_new_rows_train(start_pretrained: Any, differing: Any) -> None:
    walk = start_pretrained("inflora")
    walk.finish(0)
    task = walk.grown_next(1)
    trained = sum(parameter.numel() for parameter in walk.method.parameters() if parameter.requires_grad)
    assert trained == 4 * 2 * 32 * 4 + 3 * 33
    before = walk.state()
    list(walk.phases(task))
    assert differing(before, walk.state()) == {
        "net.sites.0.up.k",
        "net.sites.0.up.v",
        "net.head.weights.1",
        "net.head.biases.1",
    }


def test_an_update_that_has_not_learnt_changes_nothing(start_pretrained: Any) -> None:
    walk = start_pretrained("inflora")
    task = walk.grown(1)
    net, x = walk.method.net, walk.batch(task).x
    with torch.no_grad():
        assert torch.equal(net.features(x), net.embed(x))


def test_keys_and_values_of_remembered_inputs_do_not_change(start_pretrained: Any) -> None:
    walk = start_pretrained("inflora", energy=0.5, merged=False, epochs=2)
    walk.finish(0)
    bases = [walk.method.inputs.basis(block).clone() for block in range(4)]
    assert not walk.method.inputs.complements.any()
    walk.finish(1)
    update = walk.method.net.sites[1]
    for block, basis in enumerate(bases):
        for target in ("k", "v"):
            change = update.up[target][block] @ update.down[target][block]
            assert change.abs().max() > 1e-4
            assert (change @ basis).abs().max() < 1e-6


def test_directions_of_both_targets_are_equal_and_scaled(start_pretrained: Any) -> None:
    walk = start_pretrained("inflora")
    walk.grown(0)
    down = walk.method.net.sites[0].down
    assert torch.equal(down["k"], down["v"])
    assert torch.allclose(down["k"][0] @ down["k"][0].T, torch.eye(4) / 3, atol=1e-6)


def test_merged_and_unmerged_updates_compute_the_same(start_pretrained: Any) -> None:
    """After one task, before rounding can separate two trainings."""
    merged, unmerged = (start_pretrained("inflora", merged=merged) for merged in (True, False))
    x = merged.batch(merged.task(0)).x
    merged.finish(0)
    unmerged.finish(0)
    with torch.no_grad():
        first, second = merged.method.net.features(x), unmerged.method.net.features(x)
        assert (first - second).abs().max() < 1e-5
        assert len(merged.method.net.sites) == 0
        assert len(unmerged.method.net.sites) == 1
        assert not torch.allclose(unmerged.method.net.embed(x), second, atol=1e-3)


def test_old_updates_and_rows_rest(start_pretrained: Any) -> None:
    walk = start_pretrained("inflora", merged=False)
    walk.finish(0)
    up, rows = walk.method.net.sites[0].up["k"].clone(), walk.method.net.head.weights[0].clone()
    walk.finish(1)
    assert torch.equal(walk.method.net.sites[0].up["k"], up)
    assert torch.equal(walk.method.net.head.weights[0], rows)


def test_moments_are_the_mean_outer_product_of_the_inputs(start_pretrained: Any) -> None:
    walk = start_pretrained("inflora")
    task = walk.task(0)
    plain = type(task)(task.index, task.bounds, task.train.augmented_by())
    moments = walk.method.moments(plain, walk.method.net.updates, "before")
    vit = walk.method.net.backbone.network
    with torch.no_grad():
        x = walk.method.transform.plain(task.train.images)
        inputs = vit.blocks[0].norm1(vit._pos_embed(vit.patch_embed(x))).flatten(0, 1).double()
    assert torch.allclose(moments[0], inputs.T @ inputs / len(inputs), rtol=1e-4, atol=1e-5)


def test_the_remembered_energy_rises_with_the_tasks(start_pretrained: Any, monkeypatch: Any) -> None:
    walk = start_pretrained("inflora", energy=0.7)
    seen: list[float] = []
    update = walk.method.inputs.update

    def record(block: int, moment: torch.Tensor, threshold: float) -> None:
        if block == 0:
            seen.append(threshold)
        update(block, moment, threshold)

    monkeypatch.setattr(walk.method.inputs, "update", record)
    for index in range(3):
        walk.finish(index)
    assert seen == pytest.approx([0.7, 0.8, 0.9])


def test_a_memory_that_takes_everything_is_refused(start_pretrained: Any) -> None:
    walk = start_pretrained("inflora")
    walk.finish(0)
    walk.method.inputs.complements.fill_(True)
    for block in range(4):
        setattr(walk.method.inputs, f"basis_{block}", torch.zeros(32, 0))
    with pytest.raises(InvalidSpec, match="take all directions of block 0 in task 2"):
        walk.grown_next(1)


def test_the_memory_survives_a_checkpoint(start_pretrained: Any) -> None:
    state = start_pretrained("inflora").finish(0).state_dict()
    assert {f"inputs.basis_{block}" for block in range(4)} <= state.keys()
    assert state["inputs.basis_0"].shape[1] > 0
    assert "inputs.complements" in state
