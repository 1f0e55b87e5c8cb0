"""`CorrectedHead`: one pair of numbers per task, applied to that task's classes."""

from __future__ import annotations

import torch

from cil_core.engine.checkpoint import restore
from cil_core.nets.correction import CorrectedHead


def three_tasks() -> CorrectedHead:
    head = CorrectedHead(4)
    for task, new in enumerate((2, 3, 1)):
        head.grow(new, torch.Generator().manual_seed(task))
    return head


def features() -> torch.Tensor:
    return torch.randn(5, 4, generator=torch.Generator().manual_seed(9))


def test_corrections_start_as_the_identity() -> None:
    head = three_tasks()
    assert torch.equal(head(features()), head.linear(features()))
    assert head(features()).shape == (5, 6)
    assert head.classes == 6


def test_every_task_has_its_own_pair() -> None:
    head = three_tasks()
    assert len(head.corrections) == 3
    assert head.newest is head.corrections[2]
    for number, correction in enumerate(head.corrections):
        correction.alpha.fill_(number + 2)
        correction.beta.fill_(10 * number)
    raw = head.linear(features())
    expected = torch.cat([2 * raw[:, :2], 3 * raw[:, 2:5] + 10, 4 * raw[:, 5:] + 20], dim=1)
    assert torch.allclose(head(features()), expected, atol=1e-6)


def test_a_correction_keeps_the_order_within_a_task() -> None:
    head = three_tasks()
    head.corrections[1].alpha.fill_(0.3)
    head.corrections[1].beta.fill_(-2)
    raw, corrected = head.linear(features()), head(features())
    assert torch.equal(corrected[:, 2:5].argmax(dim=1), raw[:, 2:5].argmax(dim=1))
    assert torch.equal(corrected[:, :2], raw[:, :2])


def test_corrections_start_frozen() -> None:
    assert [name for name, parameter in three_tasks().named_parameters() if parameter.requires_grad] == [
        "linear.weight",
        "linear.bias",
    ]


def test_growing_keeps_old_rows_and_pairs() -> None:
    head = three_tasks()
    head.newest.alpha.fill_(0.5)
    before, weight = head(features()), head.linear.weight.clone()
    head.grow(2, torch.Generator().manual_seed(3))
    assert torch.equal(head.linear.weight[:6], weight)
    assert [float(correction.alpha) for correction in head.corrections] == [1, 1, 0.5, 1]
    torch.testing.assert_close(head(features())[:, :6], before)


def test_the_head_is_restored_from_its_state() -> None:
    head = three_tasks()
    head.newest.alpha.fill_(0.5)
    head.newest.beta.fill_(-1)
    fresh = CorrectedHead(4)
    restore(fresh, head.state_dict())
    assert torch.equal(fresh(features()), head(features()))
    assert not any(parameter.requires_grad for parameter in fresh.corrections.parameters())
