"""Whether this machine can compile backbones: PyTorch needs a C++ compiler, for GPUs as well."""

from __future__ import annotations

import shutil


def missing_for(what: str) -> str | None:
    """A message about the missing compiler; None if it is installed.

    Args:
        what: the setting or option that requests compilation.
    """
    if shutil.which("g++") is not None:
        return None
    return f"{what} needs the C++ compiler g++, which is not on the PATH: install it, or remove {what}"
