"""SLCA++: low-rank updates, norms, biases and the class token learn; the head is scaled for testing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from cil_core.engine.trainer import make_optimizer

UPDATE = 4 * 4 * (32 + 96 + 32 + 128 + 128 + 32)
REST = (
    4 * (4 * 32 + 96 + 32 + 128 + 32) + 2 * 32 + 32 + 32
)  # norms and biases; last norm, patches, class token


def test_a_fresh_update_changes_nothing_and_points_along_the_weights(start_pretrained: Any) -> None:
    walk = start_pretrained("slcapp")
    task = walk.grown(0)
    net, x = walk.method.net, walk.batch(task).x
    with torch.no_grad():
        assert torch.equal(net.features(x), net.embed(x))
    weight = net.backbone.network.blocks[1].mlp.fc2.weight.detach()
    down = net.sites[0].down["fc2"][1]
    assert torch.allclose(down @ down.T, torch.eye(4), atol=1e-5)
    lengths = (weight @ down.T).norm(dim=0)
    assert torch.allclose(lengths, torch.linalg.svdvals(weight)[:4], rtol=1e-4)


@pytest.mark.parametrize(("index", "rate"), [(0, 0.5), (1, 0.1)])
def test_updates_learn_faster_in_the_first_task(start_pretrained: Any, index: int, rate: float) -> None:
    walk = start_pretrained("slcapp", network_rate=0.1, first_update_rate=0.5)
    phase = next(walk.phases(walk.grown(index)))
    head, update, rest = make_optimizer(phase).param_groups
    assert [group["lr_factor"] for group in (head, update, rest)] == [1.0, rate, 0.1]
    assert sum(map(torch.numel, update["params"])) == UPDATE
    assert sum(map(torch.numel, rest["params"])) == REST


def test_weights_of_the_network_rest(start_pretrained: Any, differing: Any) -> None:
    walk = start_pretrained("slcapp")
    walk.grown(0)
    network = walk.method.net.backbone.network
    before = {name: value.clone() for name, value in network.state_dict().items()}
    list(walk.phases(walk.task(0)))
    resting = {name for name in before if ".mlp." in name or "attn" in name or "proj" in name}
    resting = {name for name in resting if name.endswith("weight")} | {"pos_embed"}
    assert len(resting) == 4 * 4 + 2
    assert differing(before, dict(network.state_dict())) == before.keys() - resting


def test_layers_of_older_tasks_read_enlarged_features_in_testing(start_pretrained: Any) -> None:
    walk = start_pretrained("slcapp")
    for index in range(3):
        walk.finish(index)
    net, x = walk.method.net, walk.batch(walk.task(2), 6).x
    assert net.scales.tolist() == pytest.approx([1.04, 1.02, 1.0])
    with torch.no_grad():
        logits, features = net(x)
        first = F.linear(1.04 * features, net.head.weights[0], net.head.biases[0])
    assert torch.allclose(logits[:, :5], first, atol=1e-5)
    assert torch.equal(net.head(features)[:, 8:], logits[:, 8:])


def test_scales_are_one_while_a_task_is_learnt(start_pretrained: Any) -> None:
    walk = start_pretrained("slcapp")
    walk.finish(0)
    walk.grown_next(1)
    assert walk.method.net.scales.tolist() == [1, 1]


def test_the_loss_is_the_weighted_symmetric_cross_entropy(start_pretrained: Any) -> None:
    walk = start_pretrained("slcapp", forward_weight=0.5, reverse_weight=0.2)
    task = walk.grown(1)
    batch = walk.batch(task)
    logits = walk.method.net(batch.x).logits[:, 5:]
    found = walk.method.losses(batch, walk.step(task))
    assert found["classification"].item() == pytest.approx(
        0.5 * F.cross_entropy(logits, batch.y - 5).item(), rel=1e-5
    )
    right = logits.softmax(dim=1)[torch.arange(len(batch)), batch.y - 5]
    assert found["reverse"].item() == pytest.approx(0.2 * 9.2103 * (1 - right).mean().item(), rel=1e-4)


def test_features_of_older_classes_shrink_at_random_in_the_alignment(start_pretrained: Any) -> None:
    """Ages 2, 1 and 0: at age 2 by 1 / 1.02 to 1 / 1.06, new classes not at all."""
    walk = start_pretrained("slcapp")
    for index in range(3):
        walk.finish(index)
    seen: list[torch.Tensor] = []
    walk.method.net.head.register_forward_pre_hook(lambda head, given: seen.append(given[0]))
    labels = torch.tensor([0, 5, 9]).repeat(400)
    batch = walk.batch(walk.task(2), 1)
    ones = type(batch)(torch.ones(1200, 32), labels, labels, labels)
    walk.method.alignment(ones, walk.step(walk.task(2)))
    factors = [1 / seen[0][labels == label, 0] for label in (0, 5, 9)]
    assert factors[0].aminmax()[0].item() == pytest.approx(1.02, abs=2e-3)
    assert factors[0].aminmax()[1].item() == pytest.approx(1.06, abs=2e-3)
    assert factors[1].mean().item() == pytest.approx(1.02, abs=1e-3)
    assert torch.equal(factors[2], torch.ones(400))
