"""Heads of BEEF: fused logits by hand, and the head they become."""

from __future__ import annotations

import pytest
import torch

from cil_core.nets.fusion import FusionHeads, task_labels
from cil_core.nets.heads import LinearHead


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def by_hand() -> tuple[FusionHeads, LinearHead]:
    """d = 1; task 1 has row 1 and bias 0.1; B = 0.5 with bias 0.2; α = 0.1, β = 0.3; new row 2, bias 0.4."""
    heads, head = FusionHeads(1, (0, 1, 2), generator()), LinearHead(1)
    head.grow(1, generator())
    head.widen(1, generator())
    head.grow(1, generator())
    with torch.no_grad():
        for parameter, value in (
            (heads.backward_prototypes.weight, 0.5),
            (heads.backward_prototypes.bias, 0.2),
            (heads.scale, 0.1),
            (heads.shift, 0.3),
            (heads.new.weight, 2.0),
            (heads.new.bias, 0.4),
            (head.weight[:1, :1], 1.0),
            (head.bias[:1], 0.1),
        ):
            parameter.fill_(value)
    return heads, head


@pytest.mark.parametrize(("old_bias", "expected"), [(True, [2.72, 4.4]), (False, [2.62, 4.4])])
def test_fused_logits_and_the_fused_head_by_hand(old_bias: bool, expected: list[float]) -> None:
    """Public codes drop the old bias of 0.1."""
    heads, head = by_hand()
    features = torch.tensor([[1.0, 2.0]])
    old = features[:, :1] * head.weight[:1, :1].detach() + (0.1 if old_bias else 0)
    assert heads.fused(old, features[:, 1:])[0].tolist() == pytest.approx(expected, abs=1e-5)
    heads.fuse(head, old_bias=old_bias)
    assert head(features)[0].tolist() == pytest.approx(expected, abs=1e-5)


def larger() -> tuple[FusionHeads, LinearHead]:
    """Two old tasks of 2 and 3 classes, 2 new classes, d = 4."""
    heads, head = FusionHeads(4, (0, 2, 5, 7), generator()), LinearHead(8)
    head.grow(5, generator(1))
    head.widen(4, generator(2))
    head.grow(2, generator(3))
    with torch.no_grad():
        heads.scale.normal_(generator=generator(4))
        heads.shift.normal_(generator=generator(5))
        heads.backward_prototypes.bias.normal_(generator=generator(6))
        head.bias.normal_(generator=generator(7))
    return heads, head


def old_logits(head: LinearHead, features: torch.Tensor) -> torch.Tensor:
    return features[:, :8] @ head.weight[:5, :8].detach().T + head.bias[:5].detach()


def test_the_fused_head_equals_the_sum_of_its_parts() -> None:
    heads, head = larger()
    features = torch.randn(6, 12, generator=generator(8))
    expected = heads.fused(old_logits(head, features), features[:, 8:])
    heads.fuse(head, old_bias=True)
    assert torch.allclose(head(features), expected, atol=1e-6)


def test_old_classes_of_one_task_keep_their_differences() -> None:
    heads, head = larger()
    features = torch.randn(6, 12, generator=generator(8))
    before = old_logits(head, features)
    raised = heads.fused(before, features[:, 8:])[:, :5] - before
    for low, high in ((0, 2), (2, 5)):
        assert torch.allclose(raised[:, low:high], raised[:, low : low + 1].expand(-1, high - low), atol=1e-6)
    assert not torch.allclose(raised[:, 0], raised[:, 2])


def test_without_scales_shifts_and_prototypes_old_logits_stay() -> None:
    heads, head = larger()
    with torch.no_grad():
        for parameter in (heads.scale, heads.shift, *heads.backward_prototypes.parameters()):
            parameter.zero_()
    features = torch.randn(6, 12, generator=generator(8))
    assert torch.equal(
        heads.fused(old_logits(head, features), features[:, 8:])[:, :5], old_logits(head, features)
    )


def test_old_images_are_labelled_by_task_and_new_ones_by_class() -> None:
    labels = torch.tensor([0, 1, 2, 4, 5, 6])
    assert task_labels(labels, (0, 2, 5, 7)).tolist() == [0, 0, 1, 1, 2, 3]
    assert task_labels(torch.tensor([0, 2]), (0, 3)).tolist() == [0, 2]


def test_both_logits_of_the_energy_model_are_beside_each_other() -> None:
    heads, _ = larger()
    features = torch.randn(3, 4, generator=generator())
    unified = heads.unified(features)
    assert unified.shape == (3, 2 + 2 + 7)
    assert torch.equal(unified[:, :4], heads.expansion(features))
