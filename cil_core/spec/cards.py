"""Cards: what is known of a dataset or a backbone without PyTorch and without the data."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from cil_core.spec.base import Frozen
from cil_core.spec.pixels import Pixels


class ClassRow(Frozen):
    """A class of a dataset; what is not known of it is None."""

    number: int = Field(description="By which explicit class orders and results name the class.")
    name: str | None
    train: int | None = Field(description="Training images.")
    test: int | None = Field(description="Test images.")


def _is_unknown(value: object) -> bool:
    return value is None


def _is_false(value: object) -> bool:
    return value is False


def _is_bilinear(value: object) -> bool:
    return value == "bilinear"


class DatasetCard(Frozen):
    """What a dataset is, and how its images are prepared."""

    name: str
    title: str
    classes: int = Field(ge=2)
    channels: int = Field(ge=1, le=4)
    size: int = Field(ge=4, description="Height and width in pixels, as the network sees them.")
    stored: int | None = Field(
        default=None,
        description="Height and width in pixels as images are kept, where it differs, or the shorter side of "
        "whole photographs. Smaller images than the network sees need pre-trained weights.",
    )
    whole: bool = Field(
        default=False,
        exclude_if=_is_false,
        description="Whether photographs are kept in their own ratio: training crops them at random, testing "
        "around the centre.",
    )
    kernel: Literal["bilinear", "bicubic"] = Field(
        default="bilinear",
        exclude_if=_is_bilinear,
        description="With which photographs are scaled before they are kept.",
    )
    train_images: int
    test_images: int
    split_source: str | None = Field(
        default=None,
        exclude_if=_is_unknown,
        description="Where the numbers of a published split are stated, for a dataset that an operator "
        "provides as directories.",
    )
    fixed_order: bool = Field(
        default=False,
        exclude_if=_is_false,
        description="Whether classes arrive in the order of their numbers: the default order of its tracks "
        "is not shuffled, and a seed for another one is refused.",
    )
    mean: tuple[float, ...] = Field(description="Per-channel mean of the pixels as fractions of 255.")
    std: tuple[float, ...]
    augment: tuple[str, ...] = Field(
        description="Training augmentations in order, e.g. crop:4 (random crop after zero padding by 4), "
        "flip, brightness:0.247."
    )
    citation: str
    licence: str
    fingerprint: str | None = Field(
        default=None,
        description="SHA-256 of the arrays, where it is part of the definition (folder datasets).",
    )
    class_names: tuple[str, ...] | None = Field(
        default=None,
        exclude_if=_is_unknown,
        description="Names of the classes in the order of their numbers, where they are known.",
    )
    train_per_class: tuple[int, ...] | None = Field(
        default=None,
        exclude_if=_is_unknown,
        description="Training images of each class in the order of their numbers, where they are known.",
    )
    test_per_class: tuple[int, ...] | None = Field(
        default=None, exclude_if=_is_unknown, description="Test images of each class, likewise."
    )
    background: str | None = Field(
        default=None,
        exclude_if=_is_unknown,
        description="Colour on which transparent pixels were placed, if images have any.",
    )
    pixels: Pixels | None = Field(
        default=None,
        exclude_if=_is_unknown,
        description="How images become inputs of pre-trained weights; `size` and `stored` then say what the "
        "network sees and what is kept.",
    )
    input_channels: int | None = Field(
        default=None,
        exclude_if=_is_unknown,
        description="Channels that pre-trained weights take; images of one channel are repeated.",
    )
    warnings: tuple[str, ...] | None = Field(
        default=None,
        exclude_if=_is_unknown,
        description="What is suspicious about the images, e.g. copies, or test images among the training "
        "images.",
    )

    @property
    def class_rows(self) -> tuple[ClassRow, ...]:
        """Every class: its number, and what is known of its name and images."""
        return tuple(
            ClassRow(
                number=number,
                name=self.class_names[number] if self.class_names else None,
                train=self.train_per_class[number] if self.train_per_class else None,
                test=self.test_per_class[number] if self.test_per_class else None,
            )
            for number in range(self.classes)
        )

    @model_validator(mode="after")
    def _photographs_hold_a_crop(self) -> DatasetCard:
        if self.whole and (self.stored or 0) < self.size:
            raise ValueError(
                f"whole photographs are stored with a shorter side of at least {self.size}, not {self.stored}"
            )
        return self

    @model_validator(mode="after")
    def _lists_name_every_class(self) -> DatasetCard:
        for name in ("class_names", "train_per_class", "test_per_class"):
            values = getattr(self, name)
            if values is not None and len(values) != self.classes:
                raise ValueError(f"{name} has {len(values)} values for {self.classes} classes")
        return self

    @property
    def image_bytes(self) -> int:
        """Bytes of one image as an exemplar: uint8, height × width × channels.

        The side is what the network sees, or what is stored where that is less.
        """
        side = min(self.size, self.stored or self.size)
        return side * side * self.channels

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image of one size as it is kept."""
        side = self.stored or self.size
        return (self.channels, side, side)


class BackboneCard(Frozen):
    """A feature extractor, without its head."""

    name: str
    title: str
    feature_dim: int
    parameters: int = Field(description="Trainable parameters without a head, for 3 input channels.")
    min_size: int = Field(
        description="Smallest image side in pixels: leaves the last stage 2 × 2 positions, so that even "
        "a batch of one image can be normalised."
    )
    max_size: int | None = Field(
        default=None, description="Largest image side in pixels, for networks with learnt positions."
    )
    pretrained: tuple[str, ...] = Field(
        default=(), description="Published weights that a track may start from."
    )
    only_pretrained: bool = Field(
        default=False, description="Whether a track has to name published weights of it."
    )
    stages: int = Field(description="Stages whose outputs can be distilled; 0 if it has none.")
    splittable: bool = Field(
        description="Whether it splits into a general trunk and a specialised last stage."
    )
    last_stage_parameters: int = Field(description="Those of `parameters` that belong to the last stage.")
    channel_parameters: int = Field(description="Those of `parameters` that look at one input channel.")
    sites: int = Field(
        default=0,
        description="Transformer blocks in which methods can add parameters of their own; 0 if it has none.",
    )
    signed: bool = Field(
        default=False, description="Whether features may be negative: no final ReLU, as cosine heads need."
    )

    def parameters_for(self, channels: int) -> int:
        """Trainable parameters without a head, for images of 1 to 4 channels."""
        return self.parameters + (channels - 3) * self.channel_parameters
