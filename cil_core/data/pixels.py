"""One picture as 8-bit grey or colour: what is done to pixel formats, transparency and orientation.

Decisions:
    * A conversion loses nothing silently: deep grey is scaled by the range of its format, transparent pixels
      show a stated background, EXIF orientation is applied, and each of these is reported. A format without a
      defined range is refused.
    * Without a background Pillow's plain conversion applies, as to published datasets and to folders that
      earlier versions registered.
"""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps

Colour = tuple[int, int, int]

MODES = {1: "L", 3: "RGB"}

DEEP = "16 bits per pixel scaled to 8"
TRANSPARENT = "transparent, placed on the background"
TURNED = "turned as its EXIF orientation says"
PROFILED = "CMYK converted with its colour profile"
UNPROFILED = "CMYK without a colour profile"
ANIMATED = "animated or with several pages, of which the first is used"

_PLAIN = frozenset({"L", "RGB"})
_SHALLOW = _PLAIN | {"1", "LA", "La", "P", "PA", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"}
_EXIF = frozenset({"exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"})
_SERIES = frozenset({"GIF", "PNG", "WEBP", "AVIF", "TIFF"})
_BITS_PER_SAMPLE = 258


def converted(file: Image.Image, channels: int, background: Colour | None) -> tuple[Image.Image, list[str]]:
    """A freshly opened picture in mode L or RGB.

    Args:
        file: not loaded yet.
        channels: 1 for grey, 3 for colour.
        background: shows through transparent pixels; None for Pillow's plain conversion.

    Returns:
        The picture, and which conversions were applied.

    Raises:
        ValueError: its pixels have no defined range.
        Exception: any error that Pillow raises for malformed files.
    """
    if background is None:
        return file.convert(MODES[channels]), []
    notes = []
    if file.format in _SERIES and getattr(file, "is_animated", False):
        notes.append(ANIMATED)
    highest, is_deep = _highest(file), _is_deep_colour(file)
    file.load()
    image: Image.Image = file
    if _EXIF & image.info.keys() and image.getexif().get(ExifTags.Base.Orientation, 1) in range(2, 9):
        image = ImageOps.exif_transpose(image)
        notes.append(TURNED)
    if highest:
        image = _shallow(image, highest)
    if highest or is_deep:
        notes.append(DEEP)
    if image.has_transparency_data:
        image, has_holes = _opaque(image, background)
        notes += [TRANSPARENT] if has_holes else []
    elif image.mode == "CMYK":
        notes.append(PROFILED if "icc_profile" in image.info else UNPROFILED)
        image = _from_cmyk(image)
    return (image if image.mode == MODES[channels] else image.convert(MODES[channels])), notes


def _highest(file: Image.Image) -> int | None:
    """The largest value of deep grey; None for 8 bits and less."""
    if file.mode in _SHALLOW:
        return None
    if file.mode.startswith("I;16") or (file.mode == "I" and file.format in {"PNG", "PPM"}):
        tags = getattr(file, "tag_v2", {})
        bits = tags[_BITS_PER_SAMPLE][0] if _BITS_PER_SAMPLE in tags else 16
        return int(2**bits - 1)
    raise ValueError(
        f"{file.format} with pixels of kind {file.mode!r} (32-bit or floating-point) has no defined range;"
        " convert it to 8 bits per channel"
    )


def _is_deep_colour(file: Image.Image) -> bool:
    """Whether Pillow reduces 16 bits per colour channel to 8 while it reads the file."""
    return file.mode in {"RGB", "RGBA"} and any(";16" in str(tile.args) for tile in getattr(file, "tile", ()))


def _shallow(image: Image.Image, highest: int) -> Image.Image:
    """Deep grey in 8 bits; a value that means transparent becomes an alpha channel."""
    values = np.asarray(image).astype(np.float64)
    grey = Image.fromarray(np.rint(values.clip(0, highest) * (255 / highest)).astype(np.uint8))
    key = image.info.get("transparency")
    if key is None:
        return grey
    return Image.merge("LA", (grey, Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8))))


def _opaque(image: Image.Image, background: Colour) -> tuple[Image.Image, bool]:
    """The picture on the background, and whether any of that shows."""
    if image.mode == "La":
        image = image.convert("LA")
    image = image.convert("RGBA")
    alpha = image.getchannel("A")
    canvas = Image.new("RGB", image.size, background)
    canvas.paste(image, mask=alpha)
    return canvas, alpha.getextrema()[0] != 255


def _from_cmyk(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if not profile:
        return image
    source = ImageCms.ImageCmsProfile(BytesIO(profile))
    transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), "CMYK", "RGB")
    return transform.apply(image)
