"""Subspaces: synthesised prototypes, weights of subspaces, and iterating to an image's adapters, by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cil_core.nets.subspaces import EaseNet, MosNet, synthesised


def test_a_missing_prototype_is_a_weighted_mean_of_later_classes() -> None:
    """Â = (1, 0), A = {(1, 0), (0, 1)}, B = {(2, 0), (0, 4)}: weights .7311 and .2689."""
    missing = [9.0, 9.0]
    prototypes = torch.tensor([[[1.0, 0.0], missing], [[1.0, 0.0], [2.0, 0.0]], [[0.0, 1.0], [0.0, 4.0]]])
    found = synthesised(prototypes, torch.tensor([0, 1, 1]))
    assert found[0, 1].tolist() == pytest.approx([1.4621, 1.0758], abs=1e-4)
    assert torch.equal(found[0, 0], prototypes[0, 0])
    assert torch.equal(found[1:], prototypes[1:])


def test_real_prototypes_stay_and_made_ones_lie_between_real_ones() -> None:
    """Tasks of 2, 1 and 3 classes: unequal increments."""
    tasks = torch.tensor([0, 0, 1, 2, 2, 2])
    prototypes = torch.randn(6, 3, 4, generator=torch.Generator().manual_seed(0))
    found = synthesised(prototypes, tasks)
    for label, task in enumerate(tasks.tolist()):
        for subspace in range(3):
            if subspace <= task:
                assert torch.equal(found[label, subspace], prototypes[label, subspace])
            else:
                donors = prototypes[tasks >= subspace, subspace]
                assert (found[label, subspace] <= donors.max(dim=0).values + 1e-6).all()
                assert (found[label, subspace] >= donors.min(dim=0).values - 1e-6).all()


def weights_of(others: float, plain: float, tasks: list[int], count: int) -> Tensor:
    net = EaseNet.__new__(EaseNet)
    nn.Module.__init__(net)
    net.others, net.plain = others, plain
    net.sites = nn.ModuleList([nn.Identity()] * count)
    net.tasks, net.prototypes = torch.tensor(tasks), torch.zeros(len(tasks), count, 2)
    return net.weights()


def test_the_weights_of_subspaces_by_hand() -> None:
    assert weights_of(0.1, 0.0, [0, 1, 2], 3).tolist() == [
        pytest.approx(row) for row in ([1, 0.05, 0.05], [0.05, 1, 0.05], [0.05, 0.05, 1])
    ]
    assert weights_of(0.1, 0.0, [0, 0], 1).tolist() == [[1], [1]]
    assert weights_of(0.0, 0.0, [0, 1], 2).tolist() == [[1, 0], [0, 1]]
    assert weights_of(0.2, 0.7, [0, 1], 2).tolist() == [
        pytest.approx(row) for row in ([1, 0.2, 0.7], [0.2, 1, 0.7])
    ]


class Reader(nn.Module):
    """A head whose answer is the class that the feature names; it counts its evaluations."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[Tensor] = []

    def forward(self, features: Tensor) -> Tensor:
        self.read.append(features)
        return nn.functional.one_hot(features[:, 0].long(), 4).float()


def refined(answers: list[list[int]], start: list[int]) -> tuple[Tensor, list[Tensor]]:
    """Classes 0, 1 belong to task 0 and 2, 3 to task 1; `answers` are the head's per image and task."""
    net: Any = MosNet.__new__(MosNet)
    nn.Module.__init__(net)
    net.head, net.tasks = Reader(), torch.tensor([0, 0, 1, 1])
    features = torch.tensor(answers, dtype=torch.float32)[:, :, None]
    return net.refined(features, torch.tensor(start)).argmax(dim=1), net.head.read


def test_an_image_stays_with_the_adapters_that_name_themselves() -> None:
    """Started at task 1, whose features say class 0; those of task 0 say class 1, which is of task 0."""
    answer, _ = refined([[1, 0]], [1])
    assert answer.tolist() == [1]


def test_an_image_that_oscillates_is_read_four_times() -> None:
    """Features of task 0 say class 2 and those of task 1 say class 0: read with 0, 1, 0, 1."""
    answer, read = refined([[2, 0]], [0])
    assert len(read) == 4
    assert answer.tolist() == [0]


def test_images_iterate_independently() -> None:
    answers = [[1, 0], [2, 0], [2, 3]]
    together, _ = refined(answers, [1, 0, 0])
    alone = [refined([answer], [start])[0].item() for answer, start in zip(answers, [1, 0, 0], strict=True)]
    assert together.tolist() == alone == [1, 0, 3]
