"""Joint training on everything seen so far. The upper bound."""

from __future__ import annotations

from cil_core.learning.method import Method
from cil_core.learning.phase import Task


class Joint(Method):
    """A freshly initialised network for every task, trained on the data of all tasks so far.

    Reports: the linear head. It breaks the memory budget by definition, so it is shown and never ranked.
    """

    def grow(self, task: Task) -> None:
        """Start again from new weights, with room for all seen classes."""
        self.net = self.build(self.fresh_backbone(task.index)).to(self.context.device)
        self.net.grow(task.seen, self.init_generator(task))

    def remember(self, task: Task) -> None:
        """Keep every training image: the budget does not bind an upper bound."""
        self.memory.replace(self.memory.data + task.train)


METHOD = Joint
