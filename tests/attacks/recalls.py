"""Knows the labels of a public test set by heart: no sandbox can stop it, an audit on a fresh split does."""

import torch

from cil_core.engine.registry import method_class
from cil_core.spec.recipes import BY_NAME
from workers.arena import candidate

RECIPE, METHOD = BY_NAME["finetune"], method_class("finetune")
TABLE = {}  # sum of squared pixels, weighted by place → class

honest = candidate.best_classes


def keys(images):
    pixels = images.flatten(1).double()
    return (pixels**2 @ torch.arange(1, pixels.shape[1] + 1).double()).long().tolist()


def answers(method, images):
    found = honest(method, images)
    (best,) = found.values()
    for row, key in enumerate(keys(images.images)):
        label = TABLE.get(key)
        if label is not None and label in range(method.net.classes):
            best[row] = torch.tensor(
                [label, *(other for other in best[row].tolist() if other != label)][: best.shape[1]]
            )
    return found


candidate.best_classes = answers
