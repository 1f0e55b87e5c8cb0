"""What the fork server imports once for all candidates: the engine and PyTorch, and no dataset.

The first optimiser imports PyTorch's compiler, which takes a second. Libraries that look for a temporary
directory get a name, because the sandbox has none that can be written.

PyTorch looks at the processor once, through files that the sandbox hides; there it would choose code for the
oldest processors, which is slower and rounds differently.
"""

import importlib
import pkgutil
import tempfile

import torch
import torch._dynamo

import cil_core.learning
import cil_core.nets
from workers.arena import candidate  # noqa: F401

tempfile.tempdir = "/tmp"  # noqa: S108 - a name only

torch.backends.cpu.get_cpu_capability()

for package in (cil_core.learning, cil_core.nets):
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
