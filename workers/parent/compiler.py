"""Whether this machine can compile backbones: PyTorch writes C++ for a processor, and needs the compiler for GPUs too."""

from __future__ import annotations

import shutil


def missing_for(what: str) -> str | None:
    """What is missing here, as a sentence for whoever asked; None if nothing is.

    Args:
        what: the setting or option that asked for compilation.
    """
    if shutil.which("g++") is not None:
        return None
    return f"{what} needs the C++ compiler g++, which is not on the PATH: install it, or leave {what} out"
