"""The commands `cil data …`: the datasets of this machine.

Light to import: a command imports what it needs when it runs.
"""

# ruff: noqa: PLC0415 - see above
from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workers.cli.data_options import (
    HERE,
    Augment,
    Background,
    Classes,
    DatabaseUrl,
    DataDir,
    Mean,
    Pictures,
    ShorterSide,
    Size,
    SplitFile,
)

if TYPE_CHECKING:
    from cil_core.spec.catalog import DatasetCard
    from cil_core.spec.folder_datasets import Registration

data = typer.Typer(
    no_args_is_help=True,
    help="The datasets of this machine: list, show, fetch, add a folder of images, verify.",
)


@data.command("list")
def list_(
    data_dir: DataDir = HERE, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """Show every dataset that a track can name, and whether it is on this machine."""
    from rich.console import Console
    from rich.table import Table

    from cil_core.spec import folder_datasets
    from cil_core.spec.data_root import is_local

    with refusals():
        cards = folder_datasets.cards(datasets_root(data_dir))
    if as_json:
        typer.echo(
            json.dumps(
                [
                    {**card.model_dump(mode="json"), "here": is_local(name, datasets_root(data_dir))}
                    for name, card in cards.items()
                ],
                indent=2,
            )
        )
        return
    table = Table("name", "title", "classes", "train", "test", "size", "here")
    for name, card in cards.items():
        size = f"{card.size}×{card.size}×{card.channels}"
        here = "yes" if is_local(name, datasets_root(data_dir)) else "no"
        table.add_row(
            name, card.title, *map(str, (card.classes, card.train_images, card.test_images)), size, here
        )
    Console().print(table)


@data.command()
def fetch(
    names: Annotated[list[str], typer.Argument(help="Published datasets, e.g. cifar100.")],
    data_dir: DataDir = HERE,
) -> None:
    """Download and decode datasets that are missing; interrupted downloads resume.

    ImageNet is not downloaded but decoded from <data dir>/datasets/imagenet, with train/ and val/ in it;
    cub200, imagenet_r, imagenet_a, omnibenchmark, vtab and cars196 from train/ and test/ in their own.
    """
    from rich.console import Console
    from rich.filesize import decimal
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    from cil_core.spec.catalog import DATASETS
    from cil_core.spec.split_cards import matches
    from workers.cli import datasets

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[done]}"),
        TimeRemainingColumn(),
    )
    with refusals(), Progress(*columns, console=Console(stderr=True)) as progress:
        for name in names:
            bars: dict[str, TaskID] = {}
            for step in datasets.fetch(name, datasets_root(data_dir)):
                if step.file not in bars:
                    bars[step.file] = progress.add_task(f"{name}: {step.file}", done="")
                done = decimal(step.done) if step.unit == "bytes" else f"{step.done} images"
                progress.update(bars[step.file], completed=step.done, total=step.total, done=done)
            known = "".join(
                f"; it {match}" for match in (matches(DATASETS[name]) if name in DATASETS else ())
            )
            typer.echo(f"{name}: on this machine{known}")


@data.command()
def add(
    name: Annotated[str, typer.Argument(help="Jobs will name the dataset folder:NAME.")],
    path: Pictures,
    data_dir: DataDir = HERE,
    database: DatabaseUrl = None,
    size: Size = None,
    shorter_side: ShorterSide = None,
    grey: Annotated[bool, typer.Option("--grey", help="One channel instead of three.")] = False,
    augment: Augment = "flip",
    mean: Mean = None,
    std: Annotated[str | None, typer.Option(help="Likewise.")] = None,
    split_file: SplitFile = None,
    classes: Classes = None,
    background: Background = "white",
    title: Annotated[str | None, typer.Option(help="By default the name.")] = None,
    citation: Annotated[str, typer.Option(help="Whose work the images are.")] = "not stated",
    licence: Annotated[str, typer.Option(help="Under which terms they may be used.")] = "not stated",
) -> None:
    """Register a directory of images: check every file, number the classes, fix the fingerprint."""
    from cil_core.data.folder import Preparation, register

    with refusals():
        preparation = Preparation(
            title=title,
            size=size,
            shorter_side=shorter_side,
            channels=1 if grey else 3,
            augment=tuple(_parts(augment)),
            background=background,
            classes=classes,
            mean=_numbers("--mean", mean),
            std=_numbers("--std", std),
            citation=citation,
            licence=licence,
        )
        registered = register(name, path, datasets_root(data_dir), preparation, split_file=split_file)
    _show(registered.card, registered)
    _announce(data_dir, database)


@data.command()
def show(
    name: Annotated[str, typer.Argument(help="A built-in dataset, or folder:NAME.")],
    data_dir: DataDir = HERE,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show a dataset: number, name and images of each class, what was skipped, and warnings."""
    from cil_core.spec import folder_datasets

    root = datasets_root(data_dir)
    with refusals():
        card = folder_datasets.card(name, root)
        folder = (
            name.removeprefix(folder_datasets.PREFIX) if name.startswith(folder_datasets.PREFIX) else None
        )
        registered = None if folder is None else folder_datasets.registration(folder, root)
    if not as_json:
        _show(card, registered)
        return
    found = registered.model_dump(mode="json") if registered else {"card": card.model_dump(mode="json")}
    numbering = [row.model_dump(mode="json") for row in card.class_rows]
    typer.echo(json.dumps({**found, "numbering": numbering}, indent=2))


@data.command()
def verify(
    names: Annotated[list[str] | None, typer.Argument(help="By default all that are here.")] = None,
    data_dir: DataDir = HERE,
) -> None:
    """Check datasets byte for byte, folders against their files; name what is damaged or changed."""
    from cil_core.spec import folder_datasets
    from cil_core.spec.data_root import is_local
    from workers.cli import datasets

    root = datasets_root(data_dir)
    with refusals():
        for name in names or [name for name in folder_datasets.cards(root) if is_local(name, root)]:
            typer.echo(f"{name}: OK, fingerprint {datasets.verify(name, root)}")


@data.command()
def images(
    track: Annotated[str, typer.Argument(help="A track's slug, e.g. digits-b4-inc2-m0-convnet-shot5.")],
    data_dir: DataDir = HERE,
) -> None:
    """Write the training images that a track uses as CSV: class, position in the dataset's own order."""
    from cil_core.spec.jobs import Track
    from workers.cli import datasets

    with refusals():
        try:
            asked = Track.from_slug(track)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
        rows = datasets.training_images(asked, datasets_root(data_dir))
    typer.echo("class,image")
    for label, position in rows:
        typer.echo(f"{label},{position}")


def _show(card: DatasetCard, registered: Registration | None) -> None:
    from cil_core.spec.split_cards import matches

    typer.echo(
        f"{card.name}: {card.classes} classes, {card.train_images} training and {card.test_images} test "
        "images"
        f" of {card.size}×{card.size}×{card.channels}"
    )
    typer.echo("number    train     test  class")
    for row in card.class_rows:
        known = ("?" if value is None else value for value in (row.train, row.test))
        train, test = known
        typer.echo(f"{row.number:>6} {train:>8} {test:>8}  {row.name or ''}".rstrip())
    if card.background:
        typer.echo(f"background {card.background}")
    for kind, counts in (
        (("skipped", registered.skipped), ("converted", registered.converted)) if registered else ()
    ):
        for what, count in counts.items():
            typer.echo(f"{kind}: {count} × {what}")
    for match in matches(card) if registered else ():
        typer.echo(match)
    for warning in card.warnings or ():
        typer.secho(f"warning: {warning}", fg="yellow", err=True)
    if card.fingerprint:
        typer.echo(f"fingerprint {card.fingerprint}")


def _announce(data_dir: Path, url: str | None) -> None:
    """Register the folders with the service, if there is one."""
    from store.database.session import Database, sqlite_url
    from workers.parent import datasets

    embedded = data_dir / "cil.sqlite3"
    if url is None and not embedded.exists():
        typer.echo(
            "not registered with a service: pass --database, or repeat this command with the --data-dir of"
            " `cil up` once it has run",
            err=True,
        )
        return
    with refusals():
        database = Database(url or sqlite_url(embedded))
        datasets.announce(database, datasets_root(data_dir))
        database.dispose()
    typer.echo("registered with the service")


@contextmanager
def refusals(command: str = "cil data") -> Iterator[None]:
    """End the command with the reason of a refusal and code 1 for data, 2 for wrong usage."""
    from pydantic import ValidationError
    from sqlalchemy.exc import DatabaseError

    from cil_core.spec.errors import EngineError
    from store.database.errors import StoreError

    try:
        yield
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise typer.BadParameter(faults) from error
    except (EngineError, StoreError, DatabaseError) as error:
        typer.echo(f"{command}: {error}", err=True)
        raise typer.Exit(1) from error


def datasets_root(data_dir: Path) -> Path:
    """Where datasets and weights are kept."""
    return data_dir / "datasets"


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _numbers(option: str, text: str | None) -> tuple[float, ...] | None:
    try:
        return tuple(map(float, _parts(text))) if text else None
    except ValueError as error:
        raise typer.BadParameter(f"{option} takes numbers separated by commas, not {text!r}") from error
