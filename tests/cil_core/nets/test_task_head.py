"""A head of one linear layer per task: only the newest one moves."""

from __future__ import annotations

import pytest
import torch

from cil_core.engine.checkpoint import restore
from cil_core.nets.task_head import TaskHead


def grown(start: str = "uniform") -> TaskHead:
    head = TaskHead(400, start)  # type: ignore[arg-type]
    for task, new in enumerate((50, 1, 30)):
        head.grow(new, torch.Generator().manual_seed(task))
    return head


def test_logits_are_those_of_all_layers_in_order() -> None:
    head, features = grown(), torch.randn(3, 400)
    logits = head(features)
    assert logits.shape == (3, head.classes) == (3, 81)
    for index, (low, high) in enumerate(((0, 50), (50, 51), (51, 81))):
        expected = features @ head.weights[index].T + head.biases[index]
        assert torch.allclose(logits[:, low:high], expected, atol=1e-5)
    assert torch.allclose(head.newest(features), logits[:, 51:], atol=1e-6)


def test_weight_decay_cannot_reach_old_rows() -> None:
    head = grown()
    before = [weight.detach().clone() for weight in head.weights]
    trained = [parameter for parameter in head.parameters() if parameter.requires_grad]
    assert sum(parameter.numel() for parameter in trained) == 30 * 401
    optimizer = torch.optim.SGD(trained, lr=0.1, weight_decay=0.1)
    head(torch.randn(3, 400)).sum().backward()
    optimizer.step()
    assert [torch.equal(*pair) for pair in zip(before, head.weights, strict=True)] == [True, True, False]


def test_all_layers_train_once_unlocked() -> None:
    head = grown()
    head.unlock(everything=True)
    assert all(parameter.requires_grad for parameter in head.parameters())


def test_new_rows_start_as_a_linear_layer_does_or_at_a_hundredth_of_it() -> None:
    uniform, normal = grown().weights[0], grown("normal")
    assert uniform.abs().max().item() == pytest.approx(0.05, rel=0.02)  # 1 / √400
    assert grown().biases[0].abs().max() > 0.04
    assert normal.weights[0].std().item() == pytest.approx(0.02, rel=0.05)
    assert not normal.biases[0].any()


def test_a_checkpoint_restores_every_layer() -> None:
    head, fresh = grown(), TaskHead(400)
    restore(fresh, head.state_dict())
    assert fresh.classes == 81
    assert torch.equal(fresh.weights[0], head.weights[0])
    assert [weight.requires_grad for weight in fresh.weights] == [False, False, True]
