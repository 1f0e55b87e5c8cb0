"""The expandable network: frozen old extractors, inherited head, auxiliary head."""

from __future__ import annotations

import copy

import pytest
import torch

from cil_core.engine.checkpoint import restore
from cil_core.nets.backbones import build_backbone
from cil_core.nets.expandable import ExpandableNet, auxiliary_labels


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def expanded(*, inherit: bool = True) -> tuple[ExpandableNet, torch.Tensor]:
    """A net over 4 classes, then 3 more; and its old logits on some images."""
    net = ExpandableNet(build_backbone("convnet", 1, generator()), 64)
    net.grow(4, generator())
    net.eval()
    old = net(images()).logits.detach()
    net.expand(build_backbone("convnet", 1, generator(1)), 3, generator(2), inherit=inherit)
    return net, old


def images() -> torch.Tensor:
    return torch.randn(5, 1, 8, 8, generator=generator(3))


def test_the_super_feature_concatenates_the_features() -> None:
    net, _ = expanded()
    net.eval()
    features = net.features(images())
    assert features.shape == (5, 128)
    torch.testing.assert_close(features[:, :64], net.extractors[0](images()))
    torch.testing.assert_close(features[:, 64:], net.newest(images()))


def test_with_the_new_columns_at_zero_old_logits_are_those_of_the_old_net() -> None:
    net, old = expanded()
    net.head.weight.data[:4, 64:] = 0
    net.eval()
    torch.testing.assert_close(net(images()).logits[:, :4], old)


def test_without_inheritance_the_head_is_fresh() -> None:
    kept, _ = expanded(inherit=True)
    fresh, _ = expanded(inherit=False)
    assert fresh.head.weight.shape == kept.head.weight.shape == (7, 128)
    assert not torch.equal(fresh.head.weight[:4, :64], kept.head.weight[:4, :64])


def test_old_extractors_do_not_change_in_training_mode() -> None:
    net, _ = expanded()
    before = copy.deepcopy(net.extractors[0].state_dict())
    net.train()
    assert net.newest.training
    assert not any(module.training for module in net.extractors[0].modules())
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.1, weight_decay=0.1)
    outputs = net(images())
    (outputs.logits.sum() + net.auxiliary_logits(outputs.features).sum()).backward()
    optimizer.step()
    assert all(torch.equal(before[name], value) for name, value in net.extractors[0].state_dict().items())


def test_the_auxiliary_head_sees_the_newest_extractor_and_has_one_output_more_than_new_classes() -> None:
    net, _ = expanded()
    features = torch.randn(2, 128, generator=generator())
    logits = net.auxiliary_logits(features)
    assert logits.shape == (2, 4)
    changed = features.clone()
    changed[:, :64] = 0
    assert torch.equal(net.auxiliary_logits(changed), logits)


def test_the_first_task_has_no_auxiliary_head() -> None:
    net = ExpandableNet(build_backbone("convnet", 1, generator()), 64)
    with pytest.raises(RuntimeError, match="second task"):
        net.auxiliary_logits(torch.zeros(1, 64))


def test_auxiliary_labels_are_zero_for_old_classes_and_count_the_new_ones() -> None:
    assert auxiliary_labels(torch.tensor([0, 3, 4, 5, 6]), known=4).tolist() == [0, 0, 1, 2, 3]


def test_its_structure_is_rebuilt_from_its_state() -> None:
    net, _ = expanded()
    net.auxiliary = None
    other = ExpandableNet(build_backbone("convnet", 1, generator(9)), 64)
    restore(other, net.state_dict())
    net.eval()
    other.eval()
    assert torch.equal(other(images()).logits, net(images()).logits)
