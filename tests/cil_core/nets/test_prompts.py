"""Prompts: choices and weights by hand, orthogonal components, and what a key sees."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cil_core.nets.prompts import attention_weights, best, most_frequent, orthonormal_rows


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("attention", "weight"), [((1.0, 1.0), 0.6), ((1.0, 0.0), 1.0)])
def test_component_weights_by_hand(attention: tuple[float, float], weight: float) -> None:
    """q = (.6, .8), K = (1, 0): A = (1, 1) leaves the query as it is, A = (1, 0) blinds its second half."""
    found = attention_weights(
        torch.tensor([[0.6, 0.8]]), torch.tensor([[attention]]), torch.tensor([[[1.0, 0.0]]])
    )
    assert found.shape == (1, 1, 1)
    assert found.item() == pytest.approx(weight)


def test_component_weights_are_cosines_of_masked_queries() -> None:
    query, attention, keys = (
        torch.randn(size, generator=generator()) for size in ((5, 7), (2, 3, 7), (2, 3, 7))
    )
    found = attention_weights(query, attention, keys)
    for block in range(2):
        masked = query[:, None] * attention[block]
        expected = torch.nn.functional.cosine_similarity(masked, keys[block][None], dim=2)
        assert torch.allclose(found[:, block], expected, atol=1e-6)


def test_component_weights_do_not_depend_on_the_length_of_the_query() -> None:
    query, attention, keys = (
        torch.randn(size, generator=generator()) for size in ((5, 7), (1, 3, 7), (1, 3, 7))
    )
    assert torch.allclose(
        attention_weights(7 * query, attention, keys), attention_weights(query, attention, keys), atol=1e-6
    )


def test_new_rows_are_orthonormal_and_orthogonal_to_the_span_of_any_earlier_ones() -> None:
    """Earlier rows are not orthogonal: subtracting projections on each of them leaves a remainder."""
    earlier = torch.randn(6, 20, generator=generator(1))
    earlier[1] = earlier[0] + 0.1 * earlier[1]
    rows = orthonormal_rows(5, earlier, generator(2))
    assert torch.allclose(rows @ rows.T, torch.eye(5), atol=1e-6)
    assert (rows @ earlier.T).abs().max() < 1e-6 * earlier.norm()
    one_by_one = torch.randn(5, 20, generator=generator(2))
    for row in earlier:
        one_by_one = one_by_one - (one_by_one @ row)[:, None] * row / row.square().sum()
    assert (one_by_one @ earlier.T).abs().max() > 0.1


def test_first_rows_are_orthonormal() -> None:
    rows = orthonormal_rows(8, torch.zeros(0, 8), generator())
    assert torch.allclose(rows @ rows.T, torch.eye(8), atol=1e-6)


def test_the_best_prompts_by_hand() -> None:
    """Keys e₁, e₂, e₃ and q = (1, .5, 0): the first two, with similarities .8944 and .4472."""
    query = torch.nn.functional.normalize(torch.tensor([[1.0, 0.5, 0.0]]), dim=1)
    similarities: Tensor = query @ torch.eye(3)
    chosen = best(similarities, 2)
    assert chosen.tolist() == [[0, 1]]
    assert similarities.gather(1, chosen).tolist()[0] == pytest.approx([0.8944, 0.4472], abs=1e-4)
    assert -0.1 * similarities.gather(1, chosen).sum().item() == pytest.approx(-0.13416, abs=1e-5)


def test_among_equal_prompts_the_lowest_comes_first() -> None:
    assert best(torch.tensor([[1.0, 2.0, 2.0, 1.0, 2.0]]), 4).tolist() == [[1, 2, 4, 0]]


def test_a_batch_chooses_its_most_frequent_prompts_once_each() -> None:
    chosen = torch.tensor([[3, 1], [3, 4], [4, 3]])
    assert most_frequent(chosen, 2, 6).tolist() == [3, 4]
    assert most_frequent(chosen, 5, 6).tolist() == [3, 4, 1, 0, 2]  # unused ones fill up, none occurs twice
