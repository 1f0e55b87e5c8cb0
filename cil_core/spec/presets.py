"""Tracks as papers report them, by slug. Torch-free.

Class order `RandomState(1993)`, as in the survey of Zhou et al. (TPAMI 2024) and in PyCIL. A memory budget
ending in `a` is aligned: see `alignment`.
"""

from __future__ import annotations

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

_ROWS = (
    ("digits-b0-inc2-m50-convnet", "Digits B0-Inc2, 50 exemplars", _OURS),
    ("cifar10-b0-inc2-m2000-resnet32", "CIFAR-10 B0-Inc2", _OURS),
    ("cifar10-b0-inc2-m500-resnet20", "CIFAR-10 B0-Inc2, 500 exemplars, for a laptop", _OURS),
    *((f"cifar100-b0-inc{step}-m2000-resnet32", f"CIFAR-100 B0-Inc{step}", _SURVEY) for step in (5, 10, 20)),
    *((f"cifar100-b50-inc{step}-m2000-resnet32", f"CIFAR-100 B50-Inc{step}", _PODNET if step == 2 else _SURVEY) for step in (2, 5, 10, 25)),
    *((f"cifar100-{split}-m2000a-resnet32", f"CIFAR-100 {title}, memory-aligned to DER", _SURVEY)
      for split, title in (("b0-inc5", "B0-Inc5"), ("b0-inc10", "B0-Inc10"), ("b0-inc20", "B0-Inc20"), ("b50-inc5", "B50-Inc5"), ("b50-inc10", "B50-Inc10"))),
    *((f"imagenet100-b0-inc{step}-m2000-resnet18_imagenet", f"ImageNet-100 B0-Inc{step}", _SURVEY) for step in (5, 10, 20)),
    *((f"imagenet100-b50-inc{step}-m2000-resnet18_imagenet", f"ImageNet-100 B50-Inc{step}", _SURVEY) for step in (5, 10)),
    ("imagenet1000-b0-inc100-m20000-resnet18_imagenet", "ImageNet-1000 B0-Inc100", _SURVEY),
    ("imagenet100-b0-inc10-m0-vit_b16-imagenet1k", "ImageNet-100 B0-Inc10, pretrained ViT-B/16", _OURS),
    *((f"tiny_imagenet-b100-inc{step}-m2000-resnet18", f"Tiny-ImageNet B100-Inc{step}", _PASS) for step in (5, 10, 20)),
)  # fmt: skip

PRESETS: dict[str, TrackPreset] = {
    slug: TrackPreset(slug=slug, title=title, source=source) for slug, title, source in _ROWS
}
"""Every preset by its slug; a test checks that each of them can be run."""
