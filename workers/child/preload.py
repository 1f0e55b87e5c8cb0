"""Imported by the fork server alone: what every child would otherwise do again, or nearly every one.

The first optimiser imports PyTorch's compiler (a second), and the embedded dataset is read from a compressed text (40 ms of a run of a second).
"""

import torch._dynamo  # noqa: F401

from cil_core.data import digits

digits.read()
