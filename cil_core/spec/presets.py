"""Tracks as papers report them, by slug. Torch-free.

Class order `RandomState(1993)`, as in the survey of Zhou et al. (TPAMI 2024) and in PyCIL. A memory budget
ending in `a` is aligned: see `aligned_budgets`.
"""

from __future__ import annotations

from collections.abc import Iterator

from cil_core.spec.base import Frozen
from cil_core.spec.jobs import Track


class TrackPreset(Frozen):
    """A track worth submitting to.

    Attributes:
        slug: names it.
        title: as papers write it.
        source: who reports on it.
    """

    slug: str
    title: str
    source: str

    @property
    def track(self) -> Track:
        """What the slug says."""
        return Track.from_slug(self.slug)


_SURVEY = "Zhou et al., Class-Incremental Learning: A Survey, TPAMI 2024"
_PODNET = "Douillard et al., PODNet, ECCV 2020"
_PASS = "Zhu et al., PASS, CVPR 2021"  # noqa: S105 - a method's name
_OURS = "this project"

_CIFAR_SPLITS = ("b0-inc5", "b0-inc10", "b0-inc20", "b50-inc2", "b50-inc5", "b50-inc10", "b50-inc25")
_ALIGNED = ("b0-inc5", "b0-inc10", "b0-inc20", "b50-inc5", "b50-inc10")
_IMAGENET_SPLITS = ("b0-inc5", "b0-inc10", "b0-inc20", "b50-inc5", "b50-inc10")


def _title(split: str) -> str:
    """`B0-Inc10` for `b0-inc10`."""
    return split.replace("b", "B").replace("inc", "Inc")


def _rows() -> Iterator[tuple[str, str, str]]:
    """Slug, title and source of every preset."""
    yield "digits-b0-inc2-m50-convnet", "Digits B0-Inc2, 50 exemplars", _OURS
    yield "cifar10-b0-inc2-m2000-resnet32", "CIFAR-10 B0-Inc2", _OURS
    yield "cifar10-b0-inc2-m500-resnet20", "CIFAR-10 B0-Inc2, 500 exemplars, for a laptop", _OURS
    for split in _CIFAR_SPLITS:
        source = _PODNET if split == "b50-inc2" else _SURVEY
        yield f"cifar100-{split}-m2000-resnet32", f"CIFAR-100 {_title(split)}", source
    for split in _ALIGNED:
        yield (
            f"cifar100-{split}-m2000a-resnet32",
            f"CIFAR-100 {_title(split)}, memory-aligned to DER",
            _SURVEY,
        )
    for split in _IMAGENET_SPLITS:
        yield f"imagenet100-{split}-m2000-resnet18_imagenet", f"ImageNet-100 {_title(split)}", _SURVEY
    yield "imagenet1000-b0-inc100-m20000-resnet18_imagenet", "ImageNet-1000 B0-Inc100", _SURVEY
    yield (
        "imagenet100-b0-inc10-m0-vit_b16-imagenet1k",
        "ImageNet-100 B0-Inc10, pretrained ViT-B/16",
        _OURS,
    )
    for step in (5, 10, 20):
        yield f"tiny_imagenet-b100-inc{step}-m2000-resnet18", f"Tiny-ImageNet B100-Inc{step}", _PASS


PRESETS: dict[str, TrackPreset] = {
    slug: TrackPreset(slug=slug, title=title, source=source) for slug, title, source in _rows()
}
"""Every preset by its slug; a test checks that each of them can be run."""
