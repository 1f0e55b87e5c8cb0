"""What the fork server imports and reads once for all children.

The first optimiser imports PyTorch's compiler, which takes a second. The embedded dataset is decoded from a
compressed text, which takes 40 ms of a run of one second.
"""

import torch._dynamo  # noqa: F401

from cil_core.data import digits

digits.read()
