"""What InfLoRA keeps of old inputs: per block an orthonormal basis of their space, or of its complement.

Decisions:
    * C, the mean of u uᵀ over images and tokens, represents the inputs u of a layer. Energies are squared
      singular values of C.
    * A basis of more than half of the dimensions is replaced by one of the complement (DualGPM, Liang and
      Li 2023).
    * Linear algebra runs in float64 on the CPU.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cil_core.nets.sites import Layer, Sites


class InputMemory(nn.Module):
    """A basis per block.

    Args:
        blocks: number of blocks.
        width: d.

    Attributes:
        complements: whether a block's basis spans what is still free, (blocks,).
    """

    complements: Tensor

    def __init__(self, blocks: int, width: int) -> None:
        super().__init__()
        self.register_buffer("complements", torch.zeros(blocks, dtype=torch.bool))
        for block in range(blocks):
            self.register_buffer(f"basis_{block}", torch.zeros(width, 0))

    def basis(self, block: int) -> Tensor:
        """M (d, r) of a block, orthonormal columns."""
        found: Tensor = getattr(self, f"basis_{block}")
        return found

    def directions(self, block: int, second_moment: Tensor, rank: int) -> Tensor:
        """The main directions (rank, d) of inputs without those of old ones, scaled by 1/√3.

        Where fewer are free the last rows are 0.

        Args:
            block: which one.
            second_moment: C (d, d) of the new inputs.
            rank: number of directions.
        """
        basis = self.basis(block).double().cpu()
        moment = second_moment.double().cpu()
        kept = basis @ (basis.T @ moment)
        complement = bool(self.complements[block])
        left, values, _ = torch.linalg.svd(kept if complement else moment - kept)
        free = basis.shape[1] if complement else len(moment) - basis.shape[1]
        usable = min(rank, free, int((values > values[0] * 1e-9).sum()))
        rows = torch.zeros(rank, len(moment), dtype=torch.float64)
        rows[:usable] = left[:, :usable].T / 3**0.5
        return rows.float()

    def update(self, block: int, second_moment: Tensor, threshold: float) -> None:
        """Remember inputs: at least this share of their energy then lies in the remembered space.

        Args:
            block: which one.
            second_moment: C (d, d) of the new inputs.
            threshold: ε.
        """
        old = self.basis(block)
        basis, complement = remembered(
            second_moment.double().cpu(), old.double().cpu(), bool(self.complements[block]), threshold
        )
        setattr(self, f"basis_{block}", basis.float().to(old.device))
        self.complements[block] = complement


def remembered(moment: Tensor, basis: Tensor, complement: bool, threshold: float) -> tuple[Tensor, bool]:
    """The basis after new inputs, and whether it spans the complement.

    Args:
        moment: C (d, d).
        basis: M (d, r); no column before the first inputs.
        complement: whether M spans what is still free.
        threshold: ε.
    """
    total = torch.linalg.matrix_norm(moment).square()
    kept = basis @ (basis.T @ moment)
    if complement:
        left, values, _ = torch.linalg.svd(kept)
        free = values.square().cumsum(0).neg() + values.square().sum()  # after removing 1, 2, …
        before = torch.cat([values.square().sum()[None], free])[: basis.shape[1]]
        count = int((before / total >= 1 - threshold).sum())
        taken = left[:, :count]
        rest = torch.linalg.svd(basis - taken @ (taken.T @ basis), full_matrices=False).U
        return rest[:, : basis.shape[1] - count], True
    left, values, _ = torch.linalg.svd(moment - kept)
    shares = (torch.linalg.matrix_norm(kept).square() + values.square().cumsum(0)) / total
    if basis.shape[1]:
        inside = torch.linalg.matrix_norm(kept).square() / total
        count = 0 if inside >= threshold else int((shares < threshold).sum()) + 1
    else:
        below = int((shares < threshold).sum())
        if 2 * below >= len(moment):
            return left[:, max(below, 1) :], True
        count = max(below, 1)
    grown = torch.cat([basis, left[:, :count]], dim=1)
    if 2 * grown.shape[1] > len(moment):
        return torch.linalg.svd(grown).U[:, grown.shape[1] :], True
    return grown, False


class InputMoments(Sites):
    """Records C, the mean of u uᵀ over images and tokens, of the inputs u of `qkv` in every block.

    Args:
        sites: additions that act meanwhile.
    """

    def __init__(self, sites: Sites) -> None:
        self.sites = sites
        self.sums: dict[int, Tensor] = {}
        self.counts: dict[int, int] = {}

    def output(self, layer: Layer, block: int, given: Tensor, made: Tensor) -> Tensor:
        """The output that the additions make."""
        if layer == "qkv":
            rows = given.detach().flatten(0, 1).double()
            product = rows.T @ rows
            self.sums[block] = self.sums[block] + product if block in self.sums else product
            self.counts[block] = self.counts.get(block, 0) + len(rows)
        return self.sites.output(layer, block, given, made)

    def moments(self) -> dict[int, Tensor]:
        """C (d, d) of every block."""
        return {block: total / self.counts[block] for block, total in self.sums.items()}
