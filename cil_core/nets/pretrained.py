"""Published weights of backbones: fetched once, checked, and read as tensors only."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import torch
from torch import nn

from cil_core.spec.errors import DataError


@dataclass(frozen=True, slots=True)
class Weights:
    """A file of weights.

    Args:
        url: where it is published.
        sha256: the beginning of its checksum, as its authors state it.
    """

    url: str
    sha256: str

    @property
    def file(self) -> str:
        """Its name."""
        return self.url.rpartition("/")[2]


def published(backbone: str) -> Weights:
    """torchvision's weights of a backbone, trained on ImageNet-1000.

    Raises:
        KeyError: it has none.
    """
    from torchvision.models import ViT_B_16_Weights  # noqa: PLC0415 - needed by few runs, and slow to import

    url = {"vit_b16": ViT_B_16_Weights.IMAGENET1K_V1.url}[backbone]
    return Weights(url, Path(url).stem.rpartition("-")[2])


def fetch(weights: Weights, data_root: Path) -> Path:
    """The file on this machine, downloaded if it is missing.

    Without internet access, put it in place by hand as `<data root>/weights/<name>`.

    Raises:
        DataError: it cannot be downloaded, or its checksum is another.
    """
    file = data_root / "weights" / weights.file
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(weights.url, str(file), hash_prefix=weights.sha256, progress=False)
        except (URLError, OSError) as error:
            raise DataError(
                f"{weights.url} cannot be downloaded ({error}); put the file at {file} by hand"
            ) from error
        except RuntimeError as error:
            raise DataError(f"{weights.url}: {error}") from error
    with file.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if not found.startswith(weights.sha256):
        raise DataError(
            f"{file} is damaged: its SHA-256 begins with {found[: len(weights.sha256)]}, "
            f"not {weights.sha256}; delete it to download it again"
        )
    return file


def load(backbone: nn.Module, file: Path) -> None:
    """Put published weights into a backbone.

    Raises:
        DataError: if they are not those of this backbone.
    """
    from cil_core.nets import vit  # noqa: PLC0415 - it brings all of torchvision with it

    try:
        backbone.load_state_dict(vit.renamed(torch.load(file, map_location="cpu", weights_only=True)))
    except Exception as error:  # the loader raises many kinds for a file of another format
        raise DataError(f"{file} does not hold the weights of this backbone: {error}") from error
