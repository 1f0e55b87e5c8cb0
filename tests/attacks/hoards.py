"""Keeps every image in a buffer that is no memory of exemplars; the bytes are counted all the same."""

import torch

from cil_core.engine.registry import method_class
from cil_core.spec.recipes import BY_NAME

RECIPE, Base = BY_NAME["finetune"], method_class("finetune")


class METHOD(Base):
    def __init__(self, recipe, context):
        super().__init__(recipe, context)
        self.register_buffer("hoard", torch.empty(0, *context.dataset.shape, dtype=torch.uint8))

    def consolidate(self, task):
        self.hoard = torch.cat([self.hoard, task.train.images])
