"""`WeightsCard`: what is known of a file of published weights without PyTorch and without the file.

A track names weights of its backbone; `key` joins both, e.g. `vit_b16-augreg_in21k`. Further cards are JSON
files of an operator, `<data root>/weights/<key>.json`.

Decisions:
    * A card names the architecture and the training run in full. Libraries changed the weights behind short
      names, and results with them.
    * Weights decide the preparation of images (`pixels`). Another preparation of one file is another card.
    * A SHA-256 that is not known here is None: a machine records that of its first file and keeps to it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationError, field_validator, model_validator

from cil_core.spec.base import Frozen, Line
from cil_core.spec.cards import BackboneCard, DatasetCard
from cil_core.spec.errors import DataError
from cil_core.spec.pixels import Pixels
from cil_core.spec.samples import SAMPLE_NAME

RESERVED = re.compile(rf"order.*|holdout.*|bf16|fp32|none|{SAMPLE_NAME}")
"""What names of weights must not match, since a track's slug uses these words itself."""

WEIGHTS_NAME = rf"(?!(?:order|holdout)|(?:bf16|fp32|none|{SAMPLE_NAME})(?![a-z0-9_]))[a-z][a-z0-9_]*"
"""Pattern of names of weights: no hyphen, and nothing that a slug could take for another part."""

Overlap = Literal["images", "classes", "unknown"]
OVERLAPS: dict[Overlap, str] = {
    "images": "The weights were trained on images of this dataset; its tracks are not ranked.",
    "classes": "The weights were trained on labelled images of classes of this dataset.",
    "unknown": "It is not known which images the weights were trained on.",
}
"""Every kind of overlap between training data and a dataset, and what a page says about it."""


class WeightsCard(Frozen):
    """A file of published weights."""

    name: Annotated[str, StringConstraints(max_length=40)] = Field(
        description="As tracks name it, beside the backbone."
    )
    title: Line
    backbone: str = Field(pattern=r"^[a-z0-9_]+$", max_length=40)
    library: Literal["timm", "torchvision"] = "timm"
    library_name: Line = Field(description="Architecture and training run in the library, e.g. NAME.TAG.")
    architecture: str = Field(
        pattern=r"^[a-z0-9_]+$", description="What the library builds; the file's own where it differs."
    )
    arguments: dict[str, int | float | bool | str] = Field(
        default={}, description="Further arguments of the architecture, e.g. {'img_size': 224}."
    )
    url: str | None = Field(default=None, pattern=r"^https?://", description="Where the file is published.")
    package: str | None = Field(
        default=None,
        description="Python package that contains the file, as module:PATH; it is used where installed.",
    )
    file: str = Field(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.+-]*$",
        max_length=200,
        description="Its name below <data root>/weights.",
    )
    format: Literal["npz", "pth", "safetensors"]
    layout: Literal["timm", "jax", "efficientnet_pytorch", "torchvision"] = Field(
        default="timm", description="Whose names the file uses for its tensors."
    )
    bytes: int | None = Field(default=None, ge=1, description="Size of the file, where it is known.")
    sha256: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{8,64}$",
        description="SHA-256 of the file, or its beginning where no more is published.",
    )
    drops: tuple[str, ...] = Field(
        default=(), description="Beginnings of names of tensors that are left out, e.g. head."
    )
    renames: dict[str, str] = Field(
        default={}, description="Beginnings of names that are replaced; names without any are left out."
    )
    licence: Line
    licence_source: Line = Field(description="Where the licence is stated.")
    commercial: bool = Field(description="Whether the licence permits commercial use.")
    trained_on: tuple[str, ...] = Field(description="Image collections, e.g. imagenet21k.")
    supervision: Literal["labels", "self", "text"]
    channels: int = Field(default=3, ge=1, le=4)
    parameters: int = Field(ge=1, description="Of the network without a head.")
    feature: Line = Field(default="class token after the last norm", description="What the network returns.")
    feature_dim: int = Field(ge=1)
    pixels: Pixels | None = Field(description="How images become inputs; None for the dataset's own way.")
    citation: Line
    overlap: dict[str, Overlap] = Field(
        default={},
        description="By dataset, what the weights have seen of it; the name * holds for all others.",
    )

    @property
    def key(self) -> str:
        """Backbone and name, as they end a track's slug."""
        return weights_key(self.backbone, self.name)

    def overlap_with(self, dataset: str) -> Overlap | None:
        """What the weights have seen of a dataset; None if nothing is known."""
        return self.overlap.get(dataset, self.overlap.get("*"))

    def prepared(self, dataset: DatasetCard) -> DatasetCard:
        """The dataset's card with images as this network sees them."""
        if self.pixels is None:
            return dataset
        stored = dataset.stored or dataset.size
        changes = {"size": self.pixels.size, "stored": stored, "pixels": self.pixels}
        return dataset.model_copy(update={**changes, "input_channels": self.channels})

    def own_backbone(self) -> BackboneCard:
        """A card for a backbone that only these weights have, such as an operator's."""
        side = self.pixels.size if self.pixels else 4
        return BackboneCard(
            name=self.backbone,
            title=self.architecture,
            feature_dim=self.feature_dim,
            parameters=self.parameters,
            last_stage_parameters=self.parameters,
            channel_parameters=0,
            min_size=side,
            max_size=side if self.pixels else None,
            pretrained=(self.name,),
            only_pretrained=True,
            stages=0,
            splittable=False,
            signed=True,
        )

    @field_validator("name")
    @classmethod
    def _fits_a_slug(cls, name: str) -> str:
        if not re.fullmatch(WEIGHTS_NAME, name):
            raise ValueError(
                "a name of weights has small letters, digits and underscores, begins with a letter, and is"
                " none of the words of a slug (order…, holdout…, shotK, ltR, bf16, fp32, none);"
                f" {name!r} is not allowed"
            )
        return name

    @model_validator(mode="after")
    def _has_one_ending(self) -> WeightsCard:
        if self.file.rpartition(".")[2] != self.format:
            raise ValueError(f"a file of format {self.format} ends in .{self.format}, not {self.file!r}")
        if self.pixels and self.pixels.mean and len(self.pixels.mean) != self.channels:
            raise ValueError(f"pixels have {len(self.pixels.mean)} means for {self.channels} channels")
        return self


def weights_key(backbone: str, name: str) -> str:
    """How `WEIGHTS` names weights: backbone and name, as they end a track's slug."""
    return f"{backbone}-{name}"


def weights_directory(data_root: Path) -> Path:
    """Where files of weights, and an operator's cards, are kept."""
    return data_root / "weights"


def read_card(path: Path) -> WeightsCard:
    """The card in an operator's file.

    Raises:
        DataError: the file cannot be read, or is no card; the message names every wrong field.
    """
    try:
        return WeightsCard.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'file'}: {fault['msg']}" for fault in error.errors()
        )
        raise DataError(f"{path} is no weights card: {faults}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def operator_cards(data_root: Path, shipped: Mapping[str, WeightsCard]) -> dict[str, WeightsCard]:
    """The cards that an operator added, by key.

    Raises:
        DataError: a file is damaged, or has the key of a shipped card or another name than its key.
    """
    cards = {}
    for path in sorted(weights_directory(data_root).glob("*.json")):
        card = read_card(path)
        if card.key in shipped:
            raise DataError(f"{path}: {card.key} is a shipped card; give yours another name")
        if path.stem != card.key:
            raise DataError(f"{path} holds the card {card.key}; rename it to {card.key}.json")
        cards[card.key] = card
    return cards
