"""What a method keeps between tasks, counted as the survey of Zhou et al. (TPAMI 2024) does, and in full."""

from __future__ import annotations

from cil_core.learning.method import Method
from cil_core.nets.backbones import Backbone
from cil_core.spec.aligned_budgets import FLOAT32_BYTES
from cil_core.spec.events import Footprint


def measure(method: Method) -> Footprint:
    """The footprint after a task.

    `counted_bytes` follows the survey: exemplars as uint8 and backbone parameters as float32, nothing else.
    `kept_bytes` is the size of the state dict without the teacher, which at this moment is a copy of the
    network. All three include a network that made the features of the run beforehand.
    """
    backbone = method.net.backbone_parameters()
    exemplars = len(method.memory)
    backbones = [module for module in method.net.modules() if isinstance(module, Backbone)]
    absent = sum(module.absent_parameters for module in backbones)
    return Footprint(
        parameters=sum(parameter.numel() for parameter in method.net.parameters()) + absent,
        backbone_parameters=backbone,
        exemplars=exemplars,
        counted_bytes=exemplars * method.context.dataset.image_bytes + backbone * FLOAT32_BYTES,
        kept_bytes=absent * FLOAT32_BYTES
        + sum(
            value.numel() * value.element_size()
            for name, value in method.state_dict().items()
            if not name.startswith("teacher.")
        ),
    )
