"""Our own ViT-B/16 with torchvision's weights: real files of the true format, generated here."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from torchvision.models import ViT_B_16_Weights, vit_b_16

from cil_core.data.folder import Preparation, register
from cil_core.engine.machine import Machine
from cil_core.engine.run import run
from cil_core.nets.backbones import Backbone, build_backbone, channel_gates
from cil_core.nets.pretrained import fill_own
from cil_core.spec.catalog import BACKBONES, WEIGHTS, WeightsCard
from cil_core.spec.errors import DataError, InvalidSpec
from cil_core.spec.events import EpochFinished, Event, RunFinished, TaskEvaluated
from cil_core.spec.jobs import RunSpec, Track
from cil_core.spec.recipes import BY_NAME
from cil_core.spec.validation import check
from cil_core.spec.weights import operator_cards, weights_directory
from cil_core.spec.weights_files import WeightsFile, verified


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torch.nn.Module]:
    """A data root with a file of weights and its card, and the network they are of."""
    torch.manual_seed(0)
    network = vit_b_16().eval()
    root = tmp_path_factory.mktemp("root")
    card = WeightsCard.model_validate(
        WEIGHTS["vit_b16-imagenet1k"].model_dump() | {"name": "drawn", "file": "vit.pth", "sha256": None}
    )
    weights_directory(root).mkdir()
    torch.save(network.state_dict(), weights_directory(root) / "vit.pth")
    (weights_directory(root) / f"{card.key}.json").write_text(card.model_dump_json())
    return root, network


def fresh(seed: int = 1) -> Backbone:
    return build_backbone("vit_b16", 3, torch.Generator().manual_seed(seed))


def test_features_with_published_weights_are_torchvisions(published: tuple[Path, torch.nn.Module]) -> None:
    root, network = published
    backbone = fresh().eval()
    fill_own(backbone, verified(operator_cards(root, WEIGHTS)["vit_b16-drawn"], root))
    network.heads = torch.nn.Identity()
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        assert torch.allclose(backbone(images), network(images), atol=1e-5)


def test_the_card_agrees_with_the_network() -> None:
    card, backbone = BACKBONES["vit_b16"], fresh()
    assert sum(parameter.numel() for parameter in backbone.parameters()) == card.parameters
    assert (
        sum(parameter.numel() for parameter in backbone.specialised.parameters())
        == card.last_stage_parameters
    )
    assert (backbone.feature_dim, channel_gates(backbone)) == (card.feature_dim, ())


def test_a_network_without_them_is_drawn_from_the_generator_alone() -> None:
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    first, again, other = fresh(1).state_dict(), fresh(1).state_dict(), fresh(2).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["trunk.0.positions"], other["trunk.0.positions"])
    assert all(bool(value.isfinite().all()) for value in first.values())
    assert torch.equal(torch.random.get_rng_state(), before)


def test_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    torch.save({"conv_proj.bias": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(DataError, match="does not hold the weights of this backbone"):
        fill_own(fresh(), WeightsFile(WEIGHTS["vit_b16-imagenet1k"], tmp_path / "other.pth", "0" * 64))


def test_the_address_and_checksum_are_torchvisions() -> None:
    card = WEIGHTS["vit_b16-imagenet1k"]
    assert card.url == ViT_B_16_Weights.IMAGENET1K_V1.url
    assert card.sha256 == Path(card.file).stem.rpartition("-")[2]


def test_a_pretrained_track_names_its_weights() -> None:
    track = Track.from_slug("imagenet100-b0-inc10-m0-vit_b16-imagenet1k-bf16")
    assert (track.pretrained, track.precision) == ("imagenet1k", "bf16")
    assert track.slug == "imagenet100-b0-inc10-m0-vit_b16-imagenet1k-bf16"
    assert "pretrained" not in Track.from_slug("imagenet100-b0-inc10-m0-vit_b16").model_dump()
    check(BY_NAME["simplecil"].published(), track)


@pytest.mark.parametrize(
    ("slug", "method", "says"),
    [
        ("cifar100-b0-inc10-m0-resnet32-imagenet1k", "simplecil", "resnet32 has no weights 'imagenet1k'"),
        ("cifar100-b0-inc10-m0-vit_b16", "simplecil", "vit_b16 needs images of at least 224 pixels"),
        ("imagenet100-b0-inc10-m2000-vit_b16", "der", "has no channels to mask"),
        ("imagenet100-b0-inc10-m2000-vit_b16", "memo", "vit_b16"),
        ("imagenet100-b0-inc10-m2000-vit_b16", "podnet", "vit_b16"),
    ],
)
def test_what_does_not_fit_is_refused(slug: str, method: str, says: str) -> None:
    with pytest.raises(InvalidSpec, match=says):
        check(BY_NAME[method].published(), Track.from_slug(slug))


def test_simplecil_trains_nothing_on_a_pretrained_track(
    published: tuple[Path, torch.nn.Module], tmp_path: Path
) -> None:
    shutil.copytree(weights_directory(published[0]), weights_directory(tmp_path))
    for label, shade in enumerate(("black", "grey", "silver", "white")):
        for split, number in (("train", 0), ("train", 1), ("test", 0)):
            file = tmp_path / "pictures" / split / shade / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (224, 224), (80 * label + number,) * 3).save(file)
    register("shades", tmp_path / "pictures", tmp_path, Preparation())
    spec = RunSpec.model_validate(
        {
            "method": {"name": "simplecil"},
            "track": "folder:shades-b0-inc2-m0-vit_b16-drawn-bf16",
            "seed": 1,
        }
    )
    events: list[Event] = list(run(spec, Machine(data_root=tmp_path)))
    assert isinstance(events[-1], RunFinished)
    assert not [event for event in events if isinstance(event, EpochFinished)]
    (last,) = [event for event in events if isinstance(event, TaskEvaluated) and event.task == 1]
    assert next(iter(last.results.values())).correct == (2, 2)
