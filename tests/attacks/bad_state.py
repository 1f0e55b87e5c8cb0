"""Leaves a state with bytes behind its tensors, which its header does not name."""

from cil_core.engine import state_file
from cil_core.engine.registry import method_class
from cil_core.spec.recipes import BY_NAME

RECIPE, METHOD = BY_NAME["finetune"], method_class("finetune")
honest = state_file.dump


def dump(state):
    yield from honest(state)
    yield b"hidden" * 1000


state_file.dump = dump
