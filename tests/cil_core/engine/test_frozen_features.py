"""Runs on frozen features: one producer, kept and shared, with the bits of a run that keeps nothing."""

from __future__ import annotations

import dataclasses
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cil_core.data import load
from cil_core.engine import frozen_features
from cil_core.engine.checkpoint import Checkpoints
from cil_core.engine.frozen_features import Features, description, extract
from cil_core.engine.machine import Machine
from cil_core.engine.run import run
from cil_core.nets.pretrained import architecture, pretrained_backbone
from cil_core.spec.catalog import WEIGHTS, WeightsCard
from cil_core.spec.errors import DataError
from cil_core.spec.events import EpochFinished, Event, RunFinished, RunStarted, TaskEvaluated
from cil_core.spec.jobs import RunSpec, Track
from cil_core.spec.pixels import Pixels
from cil_core.spec.weights import weights_directory
from cil_core.spec.weights_files import WeightsFile, verified

TRACK = "digits-b0-inc2-m0-tiny_vit-drawn"
CARD = WeightsCard.model_validate(
    WEIGHTS["vit_ti16-augreg_in21k"].model_dump()
    | {
        "name": "drawn",
        "backbone": "tiny_vit",
        "architecture": "vit_tiny_patch16_224",
        "arguments": {"img_size": 8, "patch_size": 4, "embed_dim": 24, "depth": 2, "num_heads": 3},
        "file": "tiny.pth",
        "format": "pth",
        "layout": "timm",
        "drops": (),
        "feature_dim": 24,
        "parameters": 15_816,
        "pixels": Pixels(name="unit", size=8, resize=8).model_dump(),
    }
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data root with the card and weights of a small transformer."""
    folder = weights_directory(tmp_path)
    folder.mkdir()
    with torch.random.fork_rng():
        torch.manual_seed(5)
        network = architecture(CARD)
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    torch.save(network.state_dict(), folder / CARD.file)
    (folder / f"{CARD.key}.json").write_text(CARD.model_dump_json())
    return tmp_path


def events(root: Path, *, track: str = TRACK, seed: int = 1, **machine: Any) -> list[Event]:
    spec = RunSpec.model_validate({"method": {"name": "simplecil"}, "track": track, "seed": seed})
    return list(run(spec, Machine(data_root=root, **machine)))


def results(found: list[Event]) -> list[TaskEvaluated]:
    return [event for event in found if isinstance(event, TaskEvaluated)]


def features_digest(found: list[Event]) -> str | None:
    assert isinstance(found[-1], RunFinished)
    return found[-1].features_sha256


def extracted(root: Path, track: str = TRACK) -> tuple[Features, Any, WeightsFile]:
    weights = verified(CARD, root)
    source = load(Track.from_slug(track), root)
    source = dataclasses.replace(source, card=CARD.prepared(source.card))
    producer = extract(source, weights, "fp32", "cpu")
    while True:
        try:
            next(producer)
        except StopIteration as finished:
            return finished.value, source, weights


def test_a_run_without_the_cache_has_the_bits_of_one_with_it(root: Path) -> None:
    kept, again, alone = (events(root, keep_features=keep) for keep in (True, True, False))
    assert results(kept) == results(again) == results(alone)
    assert features_digest(kept) == features_digest(again) == features_digest(alone) is not None
    assert len(list((root / "features").glob("*/manifest.json"))) == 1


def test_a_row_is_the_feature_of_its_image(root: Path) -> None:
    found, source, weights = extracted(root)
    backbone = pretrained_backbone(weights)
    images = source.arrays.train_images[300:305].float().div(255).expand(-1, 3, -1, -1)
    with torch.no_grad():
        assert torch.allclose(found.train[300:305], backbone(images), atol=1e-5)
    assert (found.train.shape, found.test.shape) == ((1437, 24), (360, 24))


def test_orders_protocols_and_seeds_share_one_extraction(root: Path) -> None:
    for track in (TRACK, "digits-b0-inc5-m0-tiny_vit-order7-drawn", "digits-b4-inc3-m0-tiny_vit-drawn"):
        events(root, track=track, seed=len(track))
    assert len(list((root / "features").glob("*/manifest.json"))) == 1


def test_another_preparation_precision_or_file_is_another_key(root: Path) -> None:
    _, source, weights = extracted(root)
    plain = description(source, weights, "fp32", "cpu")
    other = CARD.model_copy(update={"pixels": Pixels(name="unit", size=8, resize=9)})
    assert description(source, weights, "bf16", "cpu") != plain
    assert description(source, dataclasses.replace(weights, sha256="0" * 64), "fp32", "cpu") != plain
    assert description(source, dataclasses.replace(weights, card=other), "fp32", "cpu") != plain
    assert json.loads(json.dumps(plain)) == plain


def test_the_network_is_charged_although_it_is_absent(root: Path) -> None:
    network = sum(parameter.numel() for parameter in architecture(CARD).parameters())
    assert network == CARD.parameters
    last = results(events(root))[-1].footprint
    head = 10 * 24 + 1  # a row per class, and the scale
    assert (last.backbone_parameters, last.parameters) == (network, network + head)
    assert last.counted_bytes == 4 * network
    assert last.kept_bytes == 4 * (network + head)


def test_the_record_names_weights_and_features(root: Path) -> None:
    found = events(root)
    assert isinstance(found[0], RunStarted)
    assert found[0].weights_sha256 == verified(CARD, root).sha256
    manifest = json.loads(next((root / "features").glob("*/manifest.json")).read_text())
    assert manifest["key"]["weights"] == found[0].weights_sha256
    assert set(manifest["sha256"]) == {"train", "test"}


def test_extracting_reports_progress_and_trains_nothing(root: Path) -> None:
    first, second = events(root), events(root)
    progress = [event for event in first if isinstance(event, EpochFinished)]
    assert {event.phase for event in progress} == {"features"}
    assert not [event for event in second if isinstance(event, EpochFinished)]


def test_damaged_features_are_named(root: Path) -> None:
    events(root)
    file = next((root / "features").glob("*/train.npy"))
    rows = np.load(file)
    rows[3, 3] += 1
    np.save(file, rows)
    with pytest.raises(DataError, match=r"train\.npy is damaged: its SHA-256 .* extract the features again"):
        events(root)


def test_runs_at_the_same_time_extract_once(root: Path) -> None:
    found: list[list[Event]] = []
    runs = [threading.Thread(target=lambda: found.append(events(root))) for _ in range(2)]
    for one in runs:
        one.start()
    for one in runs:
        one.join()
    assert results(found[0]) == results(found[1])
    assert sum(any(isinstance(event, EpochFinished) for event in each) for each in found) == 1


def test_a_resumed_run_equals_an_uninterrupted_one(root: Path, tmp_path: Path) -> None:
    spec = RunSpec.model_validate({"method": {"name": "simplecil"}, "track": TRACK, "seed": 1})
    whole = events(root)
    started = run(spec, Machine(data_root=root), Checkpoints(tmp_path / "checkpoints"))
    for event in started:
        if isinstance(event, TaskEvaluated) and event.task == 2:
            break
    started.close()
    resumed = list(run(spec, Machine(data_root=root), Checkpoints(tmp_path / "checkpoints")))
    assert isinstance(resumed[0], RunStarted)
    assert resumed[0].resumed_at > 0
    assert results(resumed) == results(whole)
    assert resumed[-1] == whole[-1]


def test_a_holdout_is_tested_on_features_of_training_images(root: Path) -> None:
    last = results(events(root, track="digits-b0-inc5-m0-tiny_vit-holdout20-drawn"))[-1]
    assert sum(last.test_images) == sum(round(0.2 * count) for count in TRAIN_PER_CLASS)


TRAIN_PER_CLASS = (142, 146, 142, 146, 145, 145, 145, 143, 139, 144)


def test_the_last_batch_is_padded_with_its_last_image() -> None:
    batches = frozen_features._batches(300)
    assert [len(batch) for batch in batches] == [256, 256]
    assert batches[1].tolist() == [*range(256, 300), *[299] * 212]
