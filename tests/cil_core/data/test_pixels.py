"""Pixel formats: what a viewer shows is what is learnt, or the file is refused by name."""

from __future__ import annotations

import io
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

from cil_core.data.images import decode, readable
from cil_core.data.pixels import ANIMATED, DEEP, PROFILED, TRANSPARENT, TURNED, UNPROFILED
from cil_core.spec.errors import DataError

WHITE = (255, 255, 255)
SIZE = 12
COLOURS = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
GREY = COLOURS[:, :, 0]


def read(
    path: Path, channels: int = 3, background: tuple[int, int, int] = WHITE
) -> tuple[np.ndarray, list[str]]:
    """Pixels as (height, width, channels), or (height, width) for grey, and the conversions."""
    notes: Counter[str] = Counter()
    images = decode([path], channels=channels, size=SIZE, resize=False, background=background, notes=notes)
    pixels = images[0].permute(1, 2, 0).numpy()
    return (pixels[:, :, 0] if channels == 1 else pixels), [*notes]


def deep(path: Path, values: np.ndarray) -> Path:
    Image.fromarray(values).save(path)
    return path


@pytest.mark.parametrize("name", ["x.png", "x.tiff", "x.jp2", "x.pgm"])
def test_sixteen_bits_are_scaled_by_their_range(tmp_path: Path, name: str) -> None:
    values = np.linspace(0, 65535, SIZE * SIZE).round().astype(np.uint16).reshape(SIZE, SIZE)
    pixels, notes = read(deep(tmp_path / name, values), channels=1)
    assert np.abs(pixels - values / 257).max() <= 0.5
    assert notes == [DEEP]


def test_deep_colours_are_counted(tmp_path: Path) -> None:
    values = np.random.default_rng(1).integers(0, 65536, (SIZE, SIZE, 3))
    (tmp_path / "x.png").write_bytes(deep_colour_png(values))
    pixels, notes = read(tmp_path / "x.png")
    assert np.abs(pixels - values / 257).max() <= 1
    assert notes == [DEEP]


def deep_colour_png(values: np.ndarray) -> bytes:
    """A PNG with 16 bits per channel, which Pillow does not write."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content).to_bytes(4)
        return len(content).to_bytes(4) + kind + content + check

    height, width, _ = values.shape
    header = width.to_bytes(4) + height.to_bytes(4) + bytes([16, 2, 0, 0, 0])
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def test_big_endian_values_are_read_as_such(tmp_path: Path) -> None:
    values = np.linspace(0, 65535, SIZE * SIZE).round().astype(np.uint16).reshape(SIZE, SIZE)
    image = Image.frombytes("I;16B", (SIZE, SIZE), values.astype(">u2").tobytes())
    image.save(tmp_path / "x.tif")
    pixels, _ = read(tmp_path / "x.tif", channels=1)
    assert np.abs(pixels - values / 257).max() <= 0.5


@pytest.mark.parametrize("mode", ["F", "I"])
def test_values_without_a_range_are_refused_by_name(tmp_path: Path, mode: str) -> None:
    Image.fromarray(GREY).convert(mode).save(tmp_path / "x.tiff")
    with pytest.raises(DataError, match=rf"x\.tiff cannot be decoded: TIFF with pixels of kind '{mode}'"):
        read(tmp_path / "x.tiff")


@pytest.mark.parametrize(
    ("mode", "name"),
    [
        ("1", "x.png"),
        ("L", "x.png"),
        ("P", "x.png"),
        ("P", "x.gif"),
        ("RGB", "x.bmp"),
        ("RGBA", "x.png"),
    ],
)
def test_shallow_formats_keep_what_they_show(tmp_path: Path, mode: str, name: str) -> None:
    image = Image.fromarray(COLOURS).convert(mode)
    image.save(tmp_path / name)
    pixels, notes = read(tmp_path / name)
    assert np.array_equal(pixels, np.asarray(image.convert("RGB")))
    assert notes == []


@pytest.mark.parametrize(
    ("mode", "name"),
    [("LA", "x.png"), ("RGBA", "x.png"), ("RGBA", "x.webp"), ("RGBA", "x.tiff"), ("PA", "x.png")],
)
def test_transparent_pixels_show_the_background(tmp_path: Path, mode: str, name: str) -> None:
    alpha = np.zeros((SIZE, SIZE), dtype=np.uint8)
    alpha[3:6] = 255
    drawing = Image.fromarray(np.zeros((SIZE, SIZE, 3), dtype=np.uint8)).convert(
        "RGBA" if mode == "PA" else mode
    )
    drawing.putalpha(Image.fromarray(alpha))
    drawing.quantize(4).save(tmp_path / name) if mode == "PA" else drawing.save(
        tmp_path / name, **({"lossless": True} if name == "x.webp" else {})
    )
    for background in (WHITE, (0, 128, 255)):
        pixels, notes = read(tmp_path / name, background=background)
        expected = np.where(alpha[:, :, None] == 255, 0, np.array(background, dtype=np.uint8))
        assert np.array_equal(pixels, expected)
        assert notes == [TRANSPARENT]


def test_half_transparent_pixels_are_mixed(tmp_path: Path) -> None:
    Image.new("RGBA", (SIZE, SIZE), (0, 0, 0, 51)).save(tmp_path / "x.png")
    pixels, _ = read(tmp_path / "x.png")
    assert np.unique(pixels).tolist() == [204]  # 0.2 · 0 + 0.8 · 255


@pytest.mark.parametrize("mode", ["P", "L", "RGB"])
def test_a_transparent_colour_shows_the_background(tmp_path: Path, mode: str) -> None:
    image = Image.new(mode, (SIZE, SIZE), 0)
    image.save(tmp_path / "x.png", transparency=(0, 0, 0) if mode == "RGB" else 0)
    pixels, notes = read(tmp_path / "x.png")
    assert (np.unique(pixels).tolist(), notes) == ([255], [TRANSPARENT])


def test_a_transparent_value_of_sixteen_bits_shows_the_background(tmp_path: Path) -> None:
    values = np.full((SIZE, SIZE), 1000, dtype=np.uint16)
    values[0] = 1001  # the same in 8 bits
    Image.fromarray(values).save(tmp_path / "x.png", transparency=1000)
    pixels, notes = read(tmp_path / "x.png", channels=1)
    assert (np.unique(pixels[0]).tolist(), np.unique(pixels[1:]).tolist()) == ([4], [255])
    assert notes == [DEEP, TRANSPARENT]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["x.png", "x.webp", "x.tiff", "x.avif"])
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int, name: str) -> None:
    upright = np.zeros((SIZE, SIZE, 3), dtype=np.uint8)
    upright[: SIZE // 2, : SIZE // 3] = 255
    backwards = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: np.rot90(np.flipud(a), -1),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(np.flipud(a), 1),
        8: lambda a: np.rot90(a, -1),
    }[orientation]
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    lossless = {"lossless": True} if name == "x.webp" else {"quality": 100} if name == "x.avif" else {}
    Image.fromarray(np.ascontiguousarray(backwards(upright))).save(tmp_path / name, exif=exif, **lossless)
    pixels, notes = read(tmp_path / name)
    assert np.array_equal(pixels > 127, upright > 127)
    assert notes == ([TURNED] if orientation > 1 and name != "x.tiff" else [])  # Pillow turns TIFFs itself


def test_cmyk_is_converted_with_its_profile_and_counted_without(tmp_path: Path) -> None:
    image = Image.fromarray(COLOURS).convert("CMYK")
    image.save(tmp_path / "x.tiff")
    pixels, notes = read(tmp_path / "x.tiff")
    assert np.array_equal(pixels, np.asarray(image.convert("RGB")))
    assert notes == [UNPROFILED]
    image.save(tmp_path / "x.jpg", icc_profile=b"no profile")
    with pytest.raises(DataError, match=r"x\.jpg cannot be decoded"):
        read(tmp_path / "x.jpg")
    image.save(
        tmp_path / "y.jpg", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    )
    with pytest.raises(DataError, match=r"y\.jpg cannot be decoded"):  # a profile of another colour space
        read(tmp_path / "y.jpg")
    assert PROFILED not in notes


@pytest.mark.parametrize("name", ["x.gif", "x.png", "x.webp", "x.tiff"])
def test_the_first_frame_is_used_and_counted(tmp_path: Path, name: str) -> None:
    frames = [Image.new("RGB", (SIZE, SIZE), colour) for colour in ("black", "white")]
    frames[0].save(
        tmp_path / name,
        save_all=True,
        append_images=frames[1:],
        **({"lossless": True} if name == "x.webp" else {}),
    )
    pixels, notes = read(tmp_path / name)
    assert (pixels.max(), notes) == (0, [ANIMATED])


def test_a_large_text_chunk_is_reported_with_the_file(tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", "x" * 3_000_000, zip=True)
    Image.fromarray(COLOURS).save(tmp_path / "x.png", pnginfo=info)
    with pytest.raises(DataError, match=r"x\.png cannot be decoded: Decompressed data too large"):
        read(tmp_path / "x.png")


def test_a_decompression_bomb_is_refused_with_the_file(tmp_path: Path) -> None:
    content = io.BytesIO()
    Image.new("1", (1, 1)).save(content, "PNG")
    header = bytearray(content.getvalue())
    header[16:24] = (60_000).to_bytes(4) * 2
    (tmp_path / "x.png").write_bytes(header)
    with pytest.raises(DataError, match=r"x\.png cannot be decoded"):
        read(tmp_path / "x.png")


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.gif", "x.webp", "x.tiff", "x.bmp", "x.jp2", "x.avif"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_cut_file_is_refused_by_name(tmp_path: Path, name: str, share: float) -> None:
    Image.fromarray(COLOURS).save(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DataError, match=rf"{name} cannot be decoded"):
        read(tmp_path / name)


def test_common_endings_of_pictures_are_readable() -> None:
    assert {".jfif", ".gif", ".avif", ".tiff", ".jp2", ".webp", ".jpeg"} <= readable()
    assert not {".heic", ".pdf", ".eps", ".txt"} & readable()


def test_without_a_background_pixels_are_as_pillow_converts_them(tmp_path: Path) -> None:
    Image.new("RGBA", (SIZE, SIZE), (1, 2, 3, 0)).save(tmp_path / "x.png")
    images = decode([tmp_path / "x.png"], channels=3, size=SIZE, resize=False)
    assert images[0, :, 0, 0].tolist() == [1, 2, 3]
