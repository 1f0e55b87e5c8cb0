"""The comparison with PyCIL sees equal weights as equal, and differing gradients as different."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from benchmarks.parity.links import Link, copy_weights, difference
from benchmarks.parity.sides import Recorder


def pair() -> tuple[nn.Linear, nn.Linear, list[Link]]:
    ours, theirs = nn.Linear(3, 2), nn.Linear(3, 2)
    links: list[Link] = [(ours.weight, theirs.weight), (ours.bias, theirs.bias)]
    copy_weights(links)
    return ours, theirs, links


def test_the_same_loss_of_copied_weights_has_the_same_gradient() -> None:
    ours, theirs, links = pair()
    x = torch.arange(6.0).view(2, 3)
    ours(x).square().sum().backward()
    theirs(x).square().sum().backward()
    assert difference(links) == 0


def test_gradients_are_compared_relative_to_the_largest_one() -> None:
    ours, theirs, links = pair()
    ours.weight.grad, theirs.weight.grad = torch.full((2, 3), 3.0), torch.full((2, 3), 4.0)
    assert difference(links) == pytest.approx(0.25)


def test_parameters_that_do_not_train_here_are_left_out() -> None:
    ours, theirs, links = pair()
    ours.weight.requires_grad_(False)
    ours.bias.grad, theirs.bias.grad = torch.ones(2), torch.ones(2)
    theirs.weight.grad = torch.ones(2, 3)
    assert difference(links) == 0


def test_nothing_to_compare_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="no gradient to compare"):
        difference(pair()[2])


def test_a_recorder_keeps_the_loss_of_the_first_step_and_stops_the_loop() -> None:
    layer = nn.Linear(1, 1)
    recorder = Recorder(layer)

    def loop() -> None:
        for target in (1.0, 2.0):
            recorder.zero_grad()
            (layer.weight.sum() * 0 + target).backward()
            recorder.step()

    assert recorder.run(loop) == 1
    assert layer.weight.grad is not None


def test_a_loop_without_a_step_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="ended without a step"):
        Recorder(nn.Linear(1, 1)).run(lambda: None)
