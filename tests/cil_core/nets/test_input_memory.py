"""InfLoRA's memory of old inputs: directions, bases and their complements, by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cil_core.nets.input_memory import InputMemory, remembered

DIAGONAL = torch.diag(torch.tensor([4.0, 3.0, 2.0, 1.0]))


def moment(width: int, seed: int = 0) -> Tensor:
    inputs = torch.randn(200, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    inputs = inputs * torch.linspace(3, 0.05, width, dtype=torch.float64).square()
    return inputs.T @ inputs / 200


def spans(rows: Tensor, axes: list[int], width: int = 4) -> bool:
    """Whether the rows span exactly these axes."""
    inside = rows[:, axes]
    outside = [axis for axis in range(width) if axis not in axes]
    return bool(torch.linalg.matrix_rank(inside) == len(axes)) and bool(rows[:, outside].abs().max() < 1e-6)


def test_first_directions_are_the_main_ones_over_the_root_of_three() -> None:
    rows = InputMemory(1, 4).directions(0, DIAGONAL, 2)
    assert torch.allclose(rows.abs(), torch.eye(4)[:2] / 3**0.5, atol=1e-6)


def test_directions_leave_out_what_is_remembered() -> None:
    memory = InputMemory(1, 4)
    memory.basis_0 = torch.eye(4)[:, :1]
    assert spans(memory.directions(0, DIAGONAL, 2), [1, 2])


def test_directions_lie_in_the_complement_where_that_is_kept() -> None:
    memory = InputMemory(1, 4)
    memory.basis_0, memory.complements = torch.eye(4)[:, 2:], torch.tensor([True])
    assert spans(memory.directions(0, DIAGONAL, 2), [2, 3])


def test_where_few_directions_are_free_the_rest_is_zero() -> None:
    memory = InputMemory(1, 4)
    memory.basis_0, memory.complements = torch.eye(4)[:, 3:], torch.tensor([True])
    rows = memory.directions(0, DIAGONAL, 3)
    assert spans(rows[:1], [3])
    assert not rows[1:].any()


@pytest.mark.parametrize("threshold", [0.5, 0.9])
def test_no_update_reaches_remembered_inputs(threshold: float) -> None:
    memory = InputMemory(1, 24)
    for seed in range(3):
        memory.update(0, moment(24, seed), threshold)
        rows = memory.directions(0, moment(24, seed + 1), 4)
        assert torch.allclose(rows @ rows.T, torch.eye(4) / 3, atol=1e-6)
        if not memory.complements[0]:
            assert (rows @ memory.basis(0)).abs().max() < 1e-6


def test_half_or_more_of_the_directions_are_replaced_by_the_complement() -> None:
    """Shares of squared values: .533, .833, .967, 1; two lie below .95, which is half of four."""
    basis, complement = remembered(DIAGONAL.double(), torch.zeros(4, 0).double(), False, 0.95)
    assert complement
    assert spans(basis.T, [2, 3])


def test_fewer_are_kept_themselves() -> None:
    basis, complement = remembered(DIAGONAL.double(), torch.zeros(4, 0).double(), False, 0.6)
    assert not complement
    assert spans(basis.T, [0])


def test_at_least_one_direction_is_remembered() -> None:
    basis, _ = remembered(DIAGONAL.double(), torch.zeros(4, 0).double(), False, 0.1)
    assert spans(basis.T, [0])


def test_new_inputs_add_directions_until_their_energy_is_reached() -> None:
    """e₁ is known. Of the new inputs' energy 1/30 lies there; e₄ and e₃ hold 16/30 and 9/30."""
    reversed_inputs = torch.diag(torch.tensor([1.0, 2.0, 3.0, 4.0])).double()
    known = torch.eye(4)[:, :1].double()
    basis, complement = remembered(reversed_inputs, known, False, 0.5)
    assert not complement
    assert spans(basis.T, [0, 3])
    kept, _ = remembered(reversed_inputs, known, False, 0.01)
    assert torch.equal(kept, known)


def test_a_basis_that_grows_past_half_turns_into_its_complement() -> None:
    reversed_inputs = torch.diag(torch.tensor([1.0, 2.0, 3.0, 4.0])).double()
    basis, complement = remembered(reversed_inputs, torch.eye(4)[:, :1].double(), False, 0.8)
    assert complement
    assert spans(basis.T, [1])


def test_a_complement_loses_directions_until_little_energy_is_free() -> None:
    """e₃ and e₄ are free and hold (4 + 1)/30 of the energy: e₃ goes at ε = .95, both at ε = .99."""
    free = torch.eye(4)[:, 2:].double()
    assert spans(remembered(DIAGONAL.double(), free, True, 0.95)[0].T, [3])
    assert remembered(DIAGONAL.double(), free, True, 0.99)[0].shape == (4, 0)
    assert torch.allclose(
        remembered(DIAGONAL.double(), free, True, 0.8)[0].abs().sum(dim=1),
        torch.tensor([0, 0, 1.0, 1]).double(),
    )


@pytest.mark.parametrize("threshold", [0.3, 0.7, 0.9, 0.99])
def test_bases_stay_orthonormal_and_hold_at_most_half_of_the_directions(threshold: float) -> None:
    memory = InputMemory(1, 24)
    for seed in range(6):
        memory.update(0, moment(24, seed), threshold)
        basis = memory.basis(0)
        assert torch.allclose(basis.T @ basis, torch.eye(basis.shape[1]), atol=1e-5)
        assert basis.shape[1] <= 12
