"""Starts threads without end."""

import threading

from cil_core.engine.registry import method_class
from cil_core.spec.recipes import BY_NAME

RECIPE, Base = BY_NAME["finetune"], method_class("finetune")


class METHOD(Base):
    def consolidate(self, task):
        threading.stack_size(64 * 1024)
        while True:
            threading.Thread(target=threading.Event().wait, daemon=True).start()
