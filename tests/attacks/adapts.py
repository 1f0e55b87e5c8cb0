"""Normalises each test image by the statistics of those that it is answered with."""

from cil_core.engine.registry import method_class
from cil_core.spec.recipes import BY_NAME

RECIPE, Base = BY_NAME["finetune"], method_class("finetune")


class METHOD(Base):
    def __init__(self, recipe, context):
        super().__init__(recipe, context)
        self.net.eval = self.net.train
