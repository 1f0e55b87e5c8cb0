"""What is compared, method by method."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any
from unittest import mock

import torch
from torch import nn

from benchmarks.parity.links import (
    Link,
    copy_weights,
    corrected,
    cosine,
    difference,
    expandable,
    linear,
    linear_head,
    proxies,
)
from benchmarks.parity.sides import BOUNDS, KNOWN, SEEN, Ours, Recorder, Theirs, data
from cil_core.learning.gradients import flat_gradient
from cil_core.learning.importance import batch_fisher
from cil_core.learning.phase import Phase, Step
from cil_core.nets.analytic import AnalyticHead
from cil_core.nets.rotation import rotated, rotated_labels

Comparison = tuple[float, float, float]
"""Our loss, PyCIL's, and how far the gradients are apart."""


def plain(
    name: str, module: str, kind: str, links: Callable[..., list[Link]] = linear, preset: str | None = None
) -> Callable[[Theirs], Comparison]:
    """A comparison of the standard phase: our loss, PyCIL's, and the gradients' difference."""

    def compare(pycil: Theirs) -> Comparison:
        ours = Ours(name, preset)
        learner = pycil.learner(module, kind, ours, links)
        if links is expandable:
            copy_weights(links(ours.net, learner._network))
        if name == "ewc":
            _give_importances(ours, learner)
        learner.lamda = KNOWN / SEEN  # of BiC and COIL
        value = ours.loss()
        recorder = Recorder(learner._network)
        stage = {"bic": ("training",), "podnet": (1,)}.get(module, ())
        learner.factor = (SEEN / (SEEN - KNOWN)) ** 0.5  # of PODNet
        loop = learner._run if stage else learner._update_representation
        theirs = recorder.run(loop, data(ours.batch), None, recorder, recorder, *stage)
        return value, theirs, difference(links(ours.net, learner._network))

    return compare


def _give_importances(ours: Ours, learner: Any) -> None:
    anchor = dict(ours.method.teacher.named_parameters())
    learner.fisher, learner.mean = {}, {}
    for name, _ in learner._network.named_parameters():
        own = name.replace("convnet.backbone.", "backbone.").replace("fc.", "head.")
        learner.fisher[name] = ours.method.importance.get(own)
        learner.mean[name] = anchor[own].detach()


def fisher_of_a_batch(pycil: Theirs) -> Comparison:
    """EWC: the squared gradient of one batch in training mode, unbounded parts included."""
    ours = Ours("ewc", "pycil")
    learner = pycil.learner("ewc", "EWC", ours, linear)
    whole = mock.Mock(batches=lambda *_, **__: iter([ours.batch]))  # the batch as a data set
    own = batch_fisher(ours.net, whole, 32, "data", torch.Generator(), training=True)
    theirs = learner.getFisherDiagonal(data(ours.batch))
    clamped = {name: value.clamp(max=1e-4) for name, value in own.items()}
    pairs = [
        (clamped[n.replace("convnet.backbone.", "backbone.").replace("fc.", "head.")], v)
        for n, v in theirs.items()
    ]
    worst = max(float((a - b).abs().max()) for a, b in pairs) / 1e-4
    return float(sum(a.sum() for a, _ in pairs)), float(sum(b.sum() for _, b in pairs)), worst


def correction_of_bic(pycil: Theirs) -> Comparison:
    """BiC, second stage: cross-entropy of probabilities in training mode."""
    ours = Ours("bic", "pycil")
    learner = pycil.learner("bic", "BiC", ours, corrected)
    newest = ours.net.head.newest.requires_grad_(True)
    ours.net.train()
    value = ours.loss(ours.method.correction_losses(ours.batch, ours.step).values())
    recorder = Recorder(learner._network)
    theirs = recorder.run(learner._run, data(ours.batch), None, recorder, recorder, "bias_correction")
    layer = learner._network.bias_layers[-1]
    return value, theirs, difference([(newest.alpha, layer.alpha), (newest.beta, layer.beta)])


def projection_of_gem(pycil: Theirs) -> Comparison:
    """GEM: the loss, and the gradient after its projection on that of both past tasks."""
    ours = Ours("gem")
    learner = pycil.learner("gem", "GEM", ours, linear)
    memory = ours.method.memory
    learner.previous_data, learner.previous_label = ours.method.transform.plain(memory.images), memory.labels
    value = ours.loss()
    before = flat_gradient(list(ours.net.parameters()))
    ours.method.project(ours.batch, ours.step)
    if torch.equal(before, flat_gradient(list(ours.net.parameters()))):
        raise RuntimeError("no past task objects to the gradient, so that nothing is projected")
    recorder = Recorder(learner._network)
    loop = learner._update_representation
    theirs = recorder.run(loop, data(ours.batch), None, recorder, recorder)
    return value, theirs, difference(linear(ours.net, learner._network))


def coil(epoch: int) -> Callable[[Theirs], Comparison]:
    """COIL: the objective with the prospective term (epoch 0) or with the retrospective one."""

    def compare(pycil: Theirs) -> Comparison:
        ours = Ours("coil", "pycil")
        ours.step = Step(ours.task, epoch, 160, 0, 10)
        learner = pycil.learner("coil", "COIL", ours, cosine)
        learner.lamda, learner._ot_new_branch = KNOWN / SEEN, ours.method.prospective
        value = ours.loss()
        learner.solving_ot_to_old = lambda: ours.method.retrospective
        recorder = Recorder(learner._network)
        with mock.patch("models.coil.tqdm", return_value=[epoch]):
            loop = learner._update_representation
            theirs = recorder.run(loop, data(ours.batch), None, recorder, recorder)
        return value, theirs, difference(cosine(ours.net, learner._network))

    return compare


def foster(stage: str) -> Callable[[Theirs], Comparison]:
    """FOSTER: boosting or compression."""

    def compare(pycil: Theirs) -> Comparison:
        ours = Ours("foster")
        learner = pycil.learner("foster", "FOSTER", ours, expandable, widths=(KNOWN, SEEN))
        boosted, old = ours.method.boosted, ours.method.teacher.head
        copy_weights([*expandable(boosted, learner._network), *linear_head(old, learner._network.oldfc)])
        phases: list[Phase] = []
        for phase in ours.method.learn(ours.task):
            phases.append(phase)
            if phase.name == stage:
                break
        learner.per_cls_weights = ours.method.weights
        recorder = Recorder(learner._network)
        if stage == "boost":
            boosted.train()
            value = ours.loss(phases[-1].loss(ours.batch, ours.step).values(), boosted)
            loop = learner._feature_boosting
            theirs = recorder.run(loop, data(ours.batch), None, recorder, recorder)
            return value, theirs, difference(expandable(boosted, learner._network))
        ours.net.train()
        boosted.eval()
        value = ours.loss(phases[-1].loss(ours.batch, ours.step).values())
        return value, *_compressed(ours, learner, recorder)

    return compare


def _compressed(ours: Ours, learner: Any, recorder: Recorder) -> tuple[float, float]:
    """PyCIL's loss of FOSTER's compression, and how far the gradients of the students are apart."""

    def student() -> list[Link]:
        return [
            (ours.net.backbone, learner._snet.convnets[0].backbone),
            *linear_head(ours.net.head, learner._snet.fc),
        ]

    def optimiser(*_: Any, **__: Any) -> Recorder:
        copy_weights(student())
        recorder.net = learner._snet
        return recorder

    with mock.patch("models.foster.optim", mock.Mock(SGD=optimiser)):
        theirs = recorder.run(learner._feature_compression, data(ours.batch), None)
    return theirs, difference(student())


def pass_terms(pycil: Theirs) -> Comparison:
    """PASS: classification of rotated images and distillation of features; prototypes are random."""
    ours = Ours("pass", "pycil")
    learner = pycil.learner("pa2s", "PASS", ours, linear, widths=tuple(4 * bound for bound in BOUNDS[1:]))
    learner.old_network_module_ptr = learner._old_network
    learner._protos = [[0.0] * ours.net.backbone.feature_dim] * KNOWN
    ours.net.train()
    losses = ours.method.losses(ours.batch, ours.step)
    value = ours.loss([losses["classification"], losses["distillation"]])
    learner._network.train()
    x, y = rotated(ours.batch.x), rotated_labels(ours.batch.y)
    _, classification, distillation, _ = learner._compute_pass_loss(x, y)
    theirs = classification + distillation
    theirs.backward()
    return value, float(theirs.detach()), difference(linear(ours.net, learner._network))


def regression_of_acil(_: Theirs) -> Comparison:
    """ACIL: weights of the recursive regression after two batches, instead of a loss and a gradient."""
    generator = torch.Generator().manual_seed(1)
    head = AnalyticHead(16, 40, 0.1)
    head.projection.uniform_(-1, 1, generator=generator)
    theirs = importlib.import_module("convs.linears").RecursiveLinear(40, 0.1)
    for seen in (3, 6):
        features, labels = torch.randn(50, 16, generator=generator), torch.arange(50) % 3 + seen - 3
        head.grow(3, generator)
        head.absorb(features, labels)
        theirs.update_fc(seen)
        theirs.fit(head.expanded(features), nn.functional.one_hot(labels, seen))
    ours = head.weight.T
    worst = float((ours - theirs.weight).abs().max() / theirs.weight.abs().max())
    return float(ours.abs().sum()), float(theirs.weight.abs().sum()), worst


CASES: dict[str, Callable[[Theirs], Comparison]] = {
    "Finetune": plain("finetune", "finetune", "Finetune"),
    "Replay": plain("replay", "replay", "Replay"),
    "LwF": plain("lwf", "lwf", "LwF"),
    "EWC, preset pycil": plain("ewc", "ewc", "EWC", preset="pycil"),
    "EWC, bounded Fisher of one batch": fisher_of_a_batch,
    "GEM, projected gradient": projection_of_gem,
    "iCaRL": plain("icarl", "icarl", "iCaRL"),
    "BiC, preset pycil, stage 1": plain("bic", "bic", "BiC", corrected, "pycil"),
    "BiC, preset pycil, stage 2": correction_of_bic,
    "WA, preset pycil": plain("wa", "wa", "WA", preset="pycil"),
    "COIL, preset pycil, first epoch": coil(0),
    "COIL, preset pycil, epoch 80": coil(80),
    "PODNet, preset pycil": plain("podnet", "podnet", "PODNet", proxies, "pycil"),
    "DER-WA": plain("der-wa", "der", "DER", expandable),
    "MEMO": plain("memo", "memo", "MEMO", expandable),
    "FOSTER, boosting": foster("boost"),
    "FOSTER, compression": foster("compress"),
    "ACIL, weights after two batches": regression_of_acil,
    "PASS, preset pycil, without prototypes": pass_terms,
}
