"""X-DER, Boschini et al. 2022: stored logits learn of later tasks, and outputs of classes to come prepare."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cil_core.data.augment import Transform
from cil_core.learning.future_losses import (
    future_margin,
    past_margin,
    similarity_distance,
    supervised_contrast,
)
from cil_core.learning.losses import slice_cross_entropy
from cil_core.learning.method import Method, RunContext
from cil_core.learning.phase import Batch, Losses, Phase, Step, Task
from cil_core.learning.stored_logits import StoredLogits
from cil_core.nets.backbones import Backbone
from cil_core.nets.future import FutureNet, still_statistics
from cil_core.spec.aligned_budgets import FLOAT32_BYTES
from cil_core.spec.recipes import XDERRecipe


class XDER(Method):
    """CE among new classes + α · MSE to stored logits + β · CE of exemplars among old classes + future terms.

    Paper: outputs of all classes exist from the start. Future terms contrast classes in the outputs of each
        task to come, preserve stored similarities there, and keep those outputs below the own task's.
    Differs: tasks may differ in size. A stored logit that is not positive bounds others by a shift. Views
        follow the track's augmentation after a random resized crop.
    Reports: the linear head over seen classes. Stored logits of all classes are charged as kept bytes, and
        share a budget in bytes.
    """

    recipe: XDERRecipe
    net: FutureNet
    compilable = False  # the number of views varies

    def __init__(self, recipe: Any, context: RunContext) -> None:
        super().__init__(recipe, context)
        self.total = sum(context.task_sizes)
        self.stored = StoredLogits(self.total, self.recipe.ratio, context.device)
        ends = torch.tensor(context.task_sizes).cumsum(0)
        self.task_of = torch.bucketize(torch.arange(self.total), ends, right=True).to(context.device)
        card = context.dataset
        self.strong = Transform(card, (f"resizedcrop:{card.size}", *card.augment))

    def build(self, backbone: Backbone) -> FutureNet:
        """Rows for all classes of the protocol."""
        return FutureNet(backbone, sum(self.context.task_sizes), self.context.randomness.on_cpu("head", 0))

    def learn(self, task: Task) -> Iterator[Phase]:
        """One phase on the new data; exemplars are drawn in every step."""
        self.stored.begin()
        change = None if task.is_first else self.transplant
        yield self.standard_phase(task, data=task.train, after_step=change)

    def losses(self, batch: Batch, step: Step) -> Losses:
        """Classification of new images, rehearsal, and future terms while classes are to come."""
        task, recipe = step.task, self.recipe
        generator = self.context.randomness.on_device("rehearsal", task.index, step.iteration)
        with nullcontext() if task.is_first else still_statistics(self.net):
            logits = self.net.every_logit(batch.x)
        losses = {"classification": slice_cross_entropy(logits[:, : task.seen], batch.y, task.known)}
        labels, outputs = batch.y, logits
        if not task.is_first:
            drawn, again = (self.memory.draw(len(batch), generator) for _ in range(2))
            stream = batch.x[: max(1, len(batch) // task.index)]
            replayed = self.net.every_logit(torch.cat([drawn.x, stream]))[: len(drawn)]
            self.latest = (drawn, replayed.detach())
            with still_statistics(self.net):
                rehearsed = self.net.every_logit(again.x)[:, : task.known]
            losses["recall"] = recipe.alpha * F.mse_loss(replayed, self.stored.logits[drawn.index])
            losses["rehearsal"] = recipe.beta * F.cross_entropy(rehearsed, again.y)
            violation = past_margin(logits[:, : task.seen], task.known, recipe.margin)
            losses["past margin"] = recipe.margin_weight * violation
            labels, outputs = torch.cat([labels, drawn.y]), torch.cat([outputs, replayed])
        if task.seen < self.total:
            own = self.task_of == self.task_of[labels][:, None]
            violation = future_margin(outputs, own, task.seen, recipe.margin)
            losses["future margin"] = recipe.margin_weight * violation
            losses["contrast"] = recipe.contrast_weight * self.contrast(batch, task, generator)
            if not task.is_first:
                kept = self.stored.logits[drawn.index]
                distances = [similarity_distance(replayed[:, c], kept[:, c]) for c in self.future(task)]
                losses["similarity"] = recipe.similarity_weight * torch.stack(distances).mean()
        return losses

    def contrast(self, batch: Batch, task: Task, generator: torch.Generator) -> Tensor:
        """Contrast of classes in the outputs of every task to come, over strong views."""
        raw, labels = batch.raw, batch.y
        if len(self.memory):
            drawn = self.memory.draw(self.recipe.contrast_images, generator)
            raw, labels = torch.cat([raw, drawn.raw]), torch.cat([labels, drawn.y])
        count = self.recipe.views
        views = self.strong.train(raw.repeat(count, 1, 1, 1), generator)
        with nullcontext() if task.is_first else still_statistics(self.net):
            outputs, repeated = self.net.every_logit(views), labels.repeat(count)
        temperature = self.recipe.contrast_temperature
        terms = [supervised_contrast(outputs[:, c], repeated, temperature) for c in self.future(task)]
        return torch.stack(terms).mean()

    def future(self, task: Task) -> list[slice]:
        """The columns of each task to come."""
        bounds = torch.tensor((0, *self.context.task_sizes)).cumsum(0)[task.index + 1 :].tolist()
        return [slice(low, high) for low, high in pairwise(bounds)]

    def transplant(self, batch: Batch, step: Step) -> None:  # noqa: ARG002 — a hook
        """Bring the logits of the exemplars drawn in this step up to date."""
        generator = self.context.randomness.on_device("transplant", step.task.index, step.iteration)
        self.stored.transplant(*self.latest, step.task.known, generator)

    def quota(self, seen: int) -> int:
        """Exemplars per class; each is stored with N logits."""
        image_bytes = self.context.dataset.image_bytes
        return self.context.budget.quota(seen, image_bytes + FLOAT32_BYTES * self.total)

    def remember(self, task: Task) -> None:
        """Keep random images, each with logits of all classes."""
        generator = self.context.randomness.on_device("refill", task.index)
        self.net.eval()
        self.stored.refill(self.memory, task.train, self.quota(task.seen), self.net.every_logit, generator)


METHOD = XDER
