"""The commands `cil weights …`: published weights on this machine.

Light to import: a command imports what it needs when it runs.
"""

# ruff: noqa: PLC0415 - see above
from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workers.cli.data_commands import datasets_root, refusals
from workers.cli.data_options import HERE, DataDir

if TYPE_CHECKING:
    from cil_core.spec.weights import WeightsCard

weights = typer.Typer(
    invoke_without_command=True,
    help="Published weights on this machine: list, check, fetch, add an operator's own.",
)


@weights.callback()
def main(context: typer.Context, data_dir: DataDir = HERE) -> None:
    """Without a command: the list."""
    if context.invoked_subcommand is None:
        list_(data_dir)


@weights.command("list")
def list_(
    data_dir: DataDir = HERE, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """Show all weights that a track can name, and whether they are here, missing or damaged."""
    from rich.console import Console
    from rich.table import Column, Table

    from cil_core.spec.weights_files import is_installed, state

    root = datasets_root(data_dir)
    with refusals("cil weights"):
        found = {key: (card, state(card, root)) for key, card in _cards(root).items()}
    if as_json:
        shown = [
            {"key": key, "state": here, **card.model_dump(mode="json")} for key, (card, here) in found.items()
        ]
        typer.echo(json.dumps(shown, indent=2))
        return
    table = Table(Column("weights", no_wrap=True), "title", "licence", Column("state", no_wrap=True))
    for key, (card, here) in found.items():
        missing = "" if is_installed(card) else f"; needs {card.library}"
        table.add_row(key, card.title, card.licence, here + missing)
    Console().print(table)


@weights.command()
def check(
    names: Annotated[list[str] | None, typer.Argument(help="By default all that are here.")] = None,
    data_dir: DataDir = HERE,
) -> None:
    """Read files of weights and compare their SHA-256; name what is damaged."""
    from cil_core.spec.weights_files import locate, verified

    root = datasets_root(data_dir)
    with refusals("cil weights"):
        cards = _cards(root)
        for name in names or [key for key, card in cards.items() if locate(card, root)]:
            typer.echo(f"{name}: OK, SHA-256 {verified(_card(name, cards), root, again=True).sha256}")


@weights.command()
def fetch(
    names: Annotated[list[str], typer.Argument(help="Weights, e.g. vit_b16-augreg_in21k.")],
    data_dir: DataDir = HERE,
) -> None:
    """Download weights that are missing and check them; interrupted downloads resume."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    from cil_core.spec import weights_files

    root = datasets_root(data_dir)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with refusals("cil weights"), Progress(*columns, console=Console(stderr=True)) as progress:
        cards = _cards(root)
        for name in names:
            bar: TaskID | None = None
            for step in weights_files.fetch(_card(name, cards), root):
                bar = progress.add_task(name) if bar is None else bar
                progress.update(bar, completed=step.done, total=step.total)
            typer.echo(f"{name}: on this machine")


@weights.command()
def add(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The file of weights.")],
    card: Annotated[
        Path, typer.Option(exists=True, dir_okay=False, help="JSON with the fields of a weights card.")
    ],
    data_dir: DataDir = HERE,
) -> None:
    """Add weights of your own: check card and file, fill the network with them, keep both."""
    from cil_core.spec.atomic_write import write_atomically
    from cil_core.spec.catalog import WEIGHTS
    from cil_core.spec.errors import DataError
    from cil_core.spec.weights import read_card, weights_directory
    from cil_core.spec.weights_files import note_file

    root = datasets_root(data_dir)
    with refusals("cil weights"):
        read = read_card(card)
        if read.key in WEIGHTS:
            raise DataError(f"{card}: {read.key} is a shipped card; give yours another name")
        directory = weights_directory(root)
        directory.mkdir(parents=True, exist_ok=True)
        place = directory / read.file
        if place.exists():
            raise DataError(f"{place} exists already; state another name as `file` of the card")
        shutil.copyfile(file, place)
        try:
            _check_network(read, root)
        except DataError:
            place.unlink(missing_ok=True)
            note_file(read, root).unlink(missing_ok=True)
            raise
        write_atomically(directory / f"{read.key}.json", read.model_dump_json(indent=2))
    typer.echo(f"{read.key}: on this machine; tracks name it …-{read.backbone}-{read.name}")


def _check_network(card: WeightsCard, root: Path) -> None:
    """Fill the network of a card and compare it with what the card states."""
    from cil_core.nets.pretrained import pretrained_backbone
    from cil_core.spec.errors import DataError
    from cil_core.spec.weights_files import verified

    backbone = pretrained_backbone(verified(card, root))
    parameters = sum(parameter.numel() for parameter in backbone.parameters())
    if (parameters, backbone.feature_dim) != (card.parameters, card.feature_dim):
        raise DataError(
            f"the card {card.key} states {card.parameters} parameters and {card.feature_dim} features; the "
            f"network has {parameters} and {backbone.feature_dim}"
        )


def _cards(root: Path) -> dict[str, WeightsCard]:
    from cil_core.spec.catalog import WEIGHTS
    from cil_core.spec.weights import operator_cards

    return WEIGHTS | operator_cards(root, WEIGHTS)


def _card(name: str, cards: dict[str, WeightsCard]) -> WeightsCard:
    from cil_core.spec.errors import DataError

    if name not in cards:
        raise DataError(f"unknown weights {name!r}; known here: {', '.join(sorted(cards))}")
    return cards[name]
