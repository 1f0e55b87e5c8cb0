"""The nearest mean of exemplars, against a loop over classes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cil_core.data import load
from cil_core.data.order import task_stream
from cil_core.engine.registry import create
from cil_core.engine.run import context_of, learn_task
from cil_core.learning.classifiers import Logits, NearestMean, class_means, unit_means
from cil_core.learning.method import Method
from cil_core.learning.phase import Task
from cil_core.nets.incremental import Outputs
from cil_core.spec.jobs import RunSpec

NO_IMAGES = torch.zeros(0)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def means_by_the_book(features: Tensor, labels: Tensor, classes: int) -> Tensor:
    means = []
    for label in range(classes):
        rows = [row / row.norm() for row in features[labels == label]]
        mean = sum(rows) / len(rows)
        means.append(mean / mean.norm())
    return torch.stack(means)


@pytest.fixture(scope="module")
def learnt() -> Method:
    """Replay after tasks of 4 and 3 classes, one epoch each."""
    schedule = {"epochs": 1, "batch_size": 32, "milestones": []}
    spec = RunSpec.model_validate(
        {
            "method": {"name": "replay", "first_task": schedule, "later_tasks": schedule},
            "track": "digits-b4-inc3-m60-convnet",
            "seed": 7,
        }
    )
    source = load(spec.track, Path("/nonexistent"))  # digits come with scikit-learn
    method = create(spec.method, context_of(spec, source.card, "cpu"))
    for index, data in enumerate(task_stream(source, spec.track)[:2]):
        list(learn_task(method, Task(index, (0, 4, 7)[: index + 2], data.train)))
    return method


def test_unit_means_have_unit_norm_for_any_number_of_samples() -> None:
    features, labels = F.normalize(random(9, 5), dim=1), torch.tensor([0, 0, 2, 1, 2, 2, 2, 0, 2])
    means = unit_means(features, labels, 3)
    assert torch.allclose(means.norm(dim=1), torch.ones(3))
    assert torch.allclose(means, means_by_the_book(features, labels, 3), atol=1e-6)


def test_a_class_without_a_sample_has_no_mean() -> None:
    with pytest.raises(ValueError, match=r"classes without a sample: \[1, 3\]"):
        unit_means(random(3, 5), torch.tensor([0, 2, 0]), 4)


def test_class_means_are_those_of_the_exemplars_of_all_seen_classes(learnt: Method) -> None:
    memory = learnt.memory.data
    with torch.no_grad():
        features = learnt.net.features(memory.transform.plain(memory.images))
    means = class_means(learnt)
    assert means.shape == (7, 64)
    assert torch.allclose(means, means_by_the_book(features, memory.labels, 7), atol=1e-5)


def test_with_flips_each_image_counts_with_its_mirror_image(learnt: Method) -> None:
    memory = learnt.memory.data
    with torch.no_grad():
        plain, mirrored = (
            F.normalize(learnt.net.features(memory.transform.plain(images)), dim=1)
            for images in (memory.images, memory.images.flip(-1))
        )
    expected = torch.stack(
        [
            F.normalize(((plain + mirrored) / 2)[memory.labels == label].mean(dim=0), dim=0)
            for label in range(7)
        ]
    )
    assert torch.allclose(class_means(learnt, flip=True), expected, atol=1e-5)
    assert not torch.allclose(class_means(learnt, flip=True), class_means(learnt), atol=1e-3)


def test_the_prediction_is_the_nearest_mean_and_the_largest_cosine(learnt: Method) -> None:
    features = random(50, 64, seed=3).relu()
    scores = NearestMean().prepare(learnt)(NO_IMAGES, Outputs(torch.zeros(50, 7), features))
    means = class_means(learnt)
    unit = F.normalize(features, dim=1)
    nearest = [min(range(7), key=lambda label: float((row - means[label]).norm())) for row in unit]
    assert scores.argmax(dim=1).tolist() == nearest == (unit @ means.T).argmax(dim=1).tolist()


def test_the_head_classifies_by_its_logits() -> None:
    logits = random(4, 3)
    assert torch.equal(Logits().prepare(None)(NO_IMAGES, Outputs(logits, random(4, 8))), logits)  # type: ignore[arg-type]
