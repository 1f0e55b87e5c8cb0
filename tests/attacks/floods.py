"""Prints without end."""

from cil_core.engine.registry import method_class
from cil_core.spec.recipes import BY_NAME

RECIPE, Base = BY_NAME["finetune"], method_class("finetune")


class METHOD(Base):
    def consolidate(self, task):
        while True:
            print("x" * 10_000)
