"""`ProxyHead`: similarities to one or more proxies a class; old ones frozen, new ones imprinted."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cil_core.engine.checkpoint import restore
from cil_core.nets.heads import CosineHead
from cil_core.nets.proxies import ProxyHead, proxy_directions


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=generator(seed))


def grown(proxies: int, *sizes: int) -> ProxyHead:
    head = ProxyHead(8, proxies)
    for number, new in enumerate(sizes):
        head.grow(new, generator(number))
    return head


def test_with_one_proxy_the_similarity_is_the_cosine() -> None:
    head, cosine, x = grown(1, 3), CosineHead(8), random(5, 8)
    cosine.append(head.new)
    assert torch.allclose(head.similarities(x), cosine.cosines(x), atol=1e-6)
    assert torch.allclose(head(x), cosine(x), atol=1e-6)


def test_proxies_are_averaged_with_their_softmax() -> None:
    head = ProxyHead(2, 2)
    head.grow(1, generator())
    head.new.data.copy_(torch.tensor([[3.0, 0.0], [0.0, 5.0]]))
    x = torch.tensor([[2.0, 0.0]])  # cosines 1 and 0
    assert head.similarities(x).item() == pytest.approx(math.e / (math.e + 1))


def test_similarities_lie_between_the_worst_and_the_best_proxy() -> None:
    head, x = grown(5, 2, 3), random(7, 8)
    cosines = (F.normalize(x, dim=1) @ F.normalize(torch.cat([head.old, head.new]), dim=1).T).view(7, 5, 5)
    reduced = head.similarities(x)
    assert reduced.shape == (7, 5)
    assert (reduced <= cosines.amax(dim=2)).all()
    assert (reduced >= cosines.amin(dim=2)).all()
    assert reduced.abs().max() <= 1


def test_old_rows_do_not_learn() -> None:
    head = grown(2, 3, 2)
    assert {name for name, parameter in head.named_parameters() if parameter.requires_grad} == {
        "new",
        "scale",
    }
    assert len(head.old) == 6
    assert len(head.new) == 4
    assert head.classes == 5


def test_growing_freezes_old_rows_bit_for_bit() -> None:
    head = grown(2, 3, 2)
    before = torch.cat([head.old, head.new]).clone()
    head.grow(4, generator(5))
    assert torch.equal(head.old, before)


def test_imprinted_rows_keep_direction_and_take_the_mean_norm() -> None:
    head = grown(1, 3)
    mean_norm = head.new.norm(dim=1).mean()
    directions = random(2, 8, seed=4)
    head.imprint(directions)
    assert torch.allclose(head.new.norm(dim=1), mean_norm.expand(2), atol=1e-6)
    assert torch.allclose(F.cosine_similarity(head.new, directions), torch.ones(2), atol=1e-6)


def test_growing_keeps_the_scale() -> None:
    head = grown(1, 3)
    head.scale.data.fill_(7)
    head.grow(2, generator(1))
    assert head.scale.item() == 7
    assert head(random(5, 8)).abs().max() <= 7


def test_the_head_is_restored_from_its_state() -> None:
    head, fresh = grown(3, 2, 2), ProxyHead(8, 3)
    restore(fresh, head.state_dict())
    assert torch.equal(fresh(random(5, 8)), head(random(5, 8)))
    assert not fresh.old.requires_grad


def test_directions_are_the_centres_of_each_class() -> None:
    blobs = F.normalize(torch.eye(4).repeat_interleave(6, dim=0) + 0.01 * random(24, 4), dim=1)
    labels = torch.tensor([0] * 12 + [1] * 12)  # two blobs per class
    directions = proxy_directions(blobs, labels, 2, generator())
    assert directions.shape == (4, 4)
    assert directions[:2].argmax(dim=1).sort().values.tolist() == [0, 1]
    assert directions[2:].argmax(dim=1).sort().values.tolist() == [2, 3]
    nearest = blobs[:12][blobs[:12].argmax(dim=1) == directions[0].argmax()]
    assert torch.allclose(directions[0], nearest.mean(dim=0), atol=1e-5)


def test_directions_are_drawn_from_the_generator_alone() -> None:
    features, labels = F.normalize(random(60, 8), dim=1), torch.arange(60) % 2
    assert torch.equal(
        proxy_directions(features, labels, 5, generator(1)),
        proxy_directions(features, labels, 5, generator(1)),
    )


def test_a_class_with_fewer_images_than_proxies_uses_each_in_turn() -> None:
    features = F.normalize(random(3, 8), dim=1)
    directions = proxy_directions(features, torch.zeros(3, dtype=torch.long), 7, generator())
    assert directions.shape == (7, 8)
    assert torch.equal(directions[3:6], directions[:3])
    assert (torch.cdist(directions, features).amin(dim=1) < 1e-4).all()
