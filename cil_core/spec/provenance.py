"""`Evidence`: what a preset was compared with, and the sources that several methods share."""

from __future__ import annotations

from cil_core.spec.base import Frozen

MAMMOTH = "mammoth e75a491"
PYCIL = "PyCIL f3509b8"
PAPER = "the paper"
OURS = "this project"

READ = "Read."


class Evidence(Frozen):
    """What one preset was compared with.

    Attributes:
        source: the code or paper the preset follows.
        compared: how closely the two were compared.
        differs: what differs from that source, besides the method's own `differs`.
    """

    source: str
    compared: str
    differs: str = ""
