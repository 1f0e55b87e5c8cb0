"""Every random number of a run comes from a generator that is derived from its purpose.

Decisions:
    * A generator is derived from (seed, purpose …, task), not drawn from a shared stream. Adding a method or
      a phase never shifts other numbers. Methods with the same first task start identically. A resumed run
      continues with the same numbers without saved generator state.
    * PyTorch's and numpy's global generators are never used, seeded or read.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Randomness:
    """The source of a run's generators.

    Args:
        seed: the run's seed.
        device: of the generators that `on_device` returns.
    """

    seed: int
    device: torch.device

    def on_cpu(self, *purpose: str | int) -> torch.Generator:
        """A CPU generator for `purpose`, e.g. `("init", task)`: equal on every device."""
        return torch.Generator().manual_seed(self._derive(purpose))

    def on_device(self, *purpose: str | int) -> torch.Generator:
        """A generator on the run's device for `purpose`, e.g. `("augment", task, phase)`."""
        return torch.Generator(self.device).manual_seed(self._derive(purpose))

    def _derive(self, purpose: tuple[str | int, ...]) -> int:
        text = "/".join(map(str, (self.seed, *purpose)))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
