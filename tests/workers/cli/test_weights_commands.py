"""`cil weights …` as a user types it, on real files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import timm
import torch
from typer.testing import CliRunner, Result

from cil_core.spec.catalog import WEIGHTS
from cil_core.spec.pixels import Pixels
from workers.cli.weights_commands import weights

SMALL = {"img_size": 8, "patch_size": 4, "embed_dim": 24, "depth": 1, "num_heads": 3}


def cil_weights(*arguments: object) -> Result:
    environment = {"CIL_DATA_DIR": None, "COLUMNS": "200"}
    return CliRunner().invoke(weights, [str(argument) for argument in arguments], env=environment)


@pytest.fixture
def given(tmp_path: Path) -> tuple[Path, Path]:
    """An operator's file of weights and its card."""
    network = timm.create_model("vit_tiny_patch16_224", num_classes=0, **SMALL)
    torch.save(network.state_dict(), tmp_path / "given.pth")
    card = WEIGHTS["vit_ti16-augreg_in21k"].model_dump(mode="json") | {
        "name": "mine",
        "backbone": "small_vit",
        "arguments": SMALL,
        "file": "mine.pth",
        "format": "pth",
        "layout": "timm",
        "feature_dim": 24,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "pixels": Pixels(name="unit", size=8, resize=8).model_dump(mode="json"),
    }
    (tmp_path / "card.json").write_text(json.dumps(card))
    return tmp_path / "given.pth", tmp_path / "card.json"


def states(root: Path) -> dict[str, str]:
    listed = json.loads(cil_weights("list", "--json", "--data-dir", root).stdout)
    return {item["key"]: item["state"] for item in listed}


def test_the_list_says_what_is_here(tmp_path: Path) -> None:
    assert states(tmp_path).keys() == WEIGHTS.keys()
    assert states(tmp_path)["vit_b16-dino"] == "missing"
    assert states(tmp_path)["efficientnet_lite0-in1k"] == "not checked"
    shown = cil_weights("--data-dir", tmp_path)
    assert shown.exit_code == 0
    assert "vit_b16-augreg_in21k_in1k" in shown.stdout


def test_checking_reads_what_is_here(tmp_path: Path) -> None:
    checked = cil_weights("check", "--data-dir", tmp_path)
    assert (
        f"efficientnet_lite0-in1k: OK, SHA-256 {WEIGHTS['efficientnet_lite0-in1k'].sha256}" in checked.stdout
    )
    assert states(tmp_path)["efficientnet_lite0-in1k"] == "here"


def test_weights_of_an_operator_are_checked_and_kept(given: tuple[Path, Path], tmp_path: Path) -> None:
    added = cil_weights("add", given[0], "--card", given[1], "--data-dir", tmp_path)
    assert added.exit_code == 0
    assert "small_vit-mine: on this machine" in added.stdout
    assert states(tmp_path)["small_vit-mine"] == "here"


def test_a_card_that_states_another_network_is_refused(given: tuple[Path, Path], tmp_path: Path) -> None:
    card = json.loads(given[1].read_text())
    given[1].write_text(json.dumps(card | {"parameters": 5}))
    refused = cil_weights("add", given[0], "--card", given[1], "--data-dir", tmp_path)
    assert refused.exit_code == 1
    assert (
        f"states 5 parameters and 24 features; the network has {card['parameters']} and 24" in refused.stderr
    )
    assert "small_vit-mine" not in states(tmp_path)
    assert list((tmp_path / "datasets" / "weights").iterdir()) == []


def test_a_file_that_changed_is_damaged(given: tuple[Path, Path], tmp_path: Path) -> None:
    cil_weights("add", given[0], "--card", given[1], "--data-dir", tmp_path)
    (tmp_path / "datasets" / "weights" / "mine.pth").write_bytes(b"other")
    checked = cil_weights("check", "small_vit-mine", "--data-dir", tmp_path)
    assert checked.exit_code == 1
    assert "mine.pth is damaged" in checked.stderr


def test_unknown_weights_are_refused_with_the_known_ones(tmp_path: Path) -> None:
    refused = cil_weights("fetch", "vit_b16-nonesuch", "--data-dir", tmp_path)
    assert refused.exit_code == 1
    assert "unknown weights 'vit_b16-nonesuch'; known here: efficientnet_lite0-in1k" in refused.stderr
