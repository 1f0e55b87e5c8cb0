"""`Sample`: which training images of a track's classes are used, without PyTorch and without the data.

A few-shot sample keeps K images of every class after the first task. A long-tailed sample keeps
n_max · (1/R)^(i/(C−1)) images of class i, rounded down, so that the first class has R times as many images
as the last (Cao et al. 2019; Liu et al. 2022 for class-incremental learning).

Decisions:
    * A sample belongs to the track: its name is part of identity and slug. Test images, class order and
      budget stay as they are.
    * Which images are kept depends on the dataset alone, so that all protocols, methods and seeds share
      them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

NO_SAMPLE = "none"
SAMPLE_NAME = r"shot[1-9]\d{0,3}(?:s\d{1,10})?|lt(?:[2-9]|[1-9]\d{1,4})o?"
"""Pattern of names of samples: `shot5`, `shot5s1994` (another list), `lt100`, `lt100o` (ordered)."""

DEFAULT_LIST = 1993
"""Seed of the list of a few-shot sample that names none."""


@dataclass(frozen=True, slots=True)
class FewShot:
    """`shots` images of each class after the first task, drawn by `seed`."""

    shots: int
    seed: int = DEFAULT_LIST


@dataclass(frozen=True, slots=True)
class LongTail:
    """An exponential decrease by `ratio` from the first to the last class.

    Attributes:
        ratio: R, images of the most frequent class over those of the rarest.
        ordered: whether classes decrease in their order of arrival, from frequent to rare. If not, they
            decrease in the order of their original numbers, which the class order then mixes.
    """

    ratio: int
    ordered: bool = False


Sample = FewShot | LongTail


@dataclass(frozen=True, slots=True)
class ClassImages:
    """A class of a dataset before a sample is taken of it.

    Attributes:
        number: its original number.
        position: its place in the class order.
        base: whether it belongs to the first task.
        images: its training images.
    """

    number: int
    position: int
    base: bool
    images: int

    def kept(self, sample: Sample, mean: float, classes: int) -> int:
        """How many of them a sample keeps: the shots of a few-shot sample, even if the class has fewer.

        Args:
            sample: of the track.
            mean: n_max, training images per class of the dataset.
            classes: C, of the dataset.
        """
        if isinstance(sample, FewShot):
            return self.images if self.base else sample.shots
        rank = self.position if sample.ordered else self.number
        share = (1 / sample.ratio) ** (rank / (classes - 1))
        return max(1, min(self.images, int(mean * share)))


def sample_of(name: str) -> Sample | None:
    """The sample of a name; None for `none`.

    Raises:
        ValueError: the name is no sample's, or the seed of its list exceeds 4294967295.
    """
    if name == NO_SAMPLE:
        return None
    if not re.fullmatch(SAMPLE_NAME, name):
        raise ValueError(
            f"{name[:40]!r} is no sample of training images; samples are none, shotK and shotKsSEED (K images"
            " of each class after the first task), ltR and ltRo (long-tailed with ratio R from 2 to 99999;"
            " o: in the order of arrival)"
        )
    if name.startswith("lt"):
        return LongTail(int(name[2:].rstrip("o")), ordered=name.endswith("o"))
    shots, _, seed = name[4:].partition("s")
    if int(seed or 0) >= 2**32:
        raise ValueError(f"the seed of a list of images lies in 0 … 4294967295, not {seed}")
    return FewShot(int(shots), int(seed) if seed else DEFAULT_LIST)
