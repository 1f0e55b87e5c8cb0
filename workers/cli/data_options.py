"""Options and arguments that the commands `cil data …` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DataDir = Annotated[
    Path,
    typer.Option(
        "--data-dir", envvar="CIL_DATA_DIR", help="Holds datasets/; of `cil up`, its own --data-dir."
    ),
]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        "--database",
        envvar="CIL_DATABASE_URL",
        help="Of the service; by default that of `cil up` on --data-dir.",
    ),
]
Size = Annotated[
    int | None,
    typer.Option(
        help="Side in pixels to which all images are resized; without it they must all have one size."
    ),
]
ShorterSide = Annotated[
    int | None,
    typer.Option(
        help="Keep photographs whole with this shorter side, e.g. 256 for --size 224: training crops them at "
        "random, testing around the centre."
    ),
]
Augment = Annotated[
    str,
    typer.Option(
        help="Training augmentations, comma-separated, e.g. crop:4,flip,brightness:0.25; empty for none."
    ),
]
Mean = Annotated[
    str | None,
    typer.Option(help="Per channel, comma-separated, as fractions of 255; measured by default."),
]
SplitFile = Annotated[
    Path | None,
    typer.Option(
        help="Table with the columns path, class, split (train or test), instead of train/ and test/."
    ),
]
Classes = Annotated[
    int | None, typer.Option(help="How many classes are expected; another number is refused.")
]
Background = Annotated[
    str, typer.Option(help="Colour on which transparent pixels are placed, e.g. black or #8080ff.")
]
Pictures = Annotated[
    Path,
    typer.Argument(
        help="Directory with train/<class>/ and test/<class>/, or where paths of the split file start."
    ),
]
HERE = Path("var")
