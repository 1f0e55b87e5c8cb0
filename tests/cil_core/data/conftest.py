"""Small datasets whose every pixel is known."""

import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from cil_core.data.arrays import ArrayDataset
from cil_core.data.augment import Transform
from cil_core.spec.catalog import DatasetCard

from .formats import Site, draw

CARD = DatasetCard(
    name="toy",
    title="Toy",
    classes=3,
    channels=3,
    size=8,
    train_images=30,
    test_images=6,
    mean=(0.4, 0.5, 0.6),
    std=(0.2, 0.25, 0.3),
    augment=("crop:2", "flip"),
    citation="none",
    licence="none",
)


@pytest.fixture
def card() -> DatasetCard:
    return CARD


@pytest.fixture
def dataset(card: DatasetCard) -> ArrayDataset:
    """Thirty images of random pixels, ten of each class, classes mixed."""
    images = torch.randint(256, (30, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return ArrayDataset(images, torch.arange(30) % 3, Transform(card))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    directory = tmp_path / "site"
    directory.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=directory))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield Site(directory, f"http://127.0.0.1:{server.server_port}/")
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Three classes of JPEGs and PNGs: four for training, two for testing."""
    directory = tmp_path / "pictures"
    for label, name in enumerate(("ant", "bee", "cat")):
        for split, count in (("train", 4), ("test", 2)):
            for number in range(count):
                draw(
                    directory / split / name / f"{number}.{'png' if number % 2 else 'jpg'}",
                    seed=100 * label + 10 * (split == "test") + number,
                )
    return directory


@pytest.fixture
def data_root(tmp_path: Path) -> Path:
    return tmp_path / "data"
