"""Photographs and drawings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from client_app.data.preparation.raw import Picture
from client_app.files.unreadable import unreadable

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP")
MOST_PIXELS = 2**26
DEEP = ("I;16", "I;16L", "I;16B", "I;16N", "I")  # sixteen bits a pixel


def read(path: Path) -> Picture:
    """The picture in a file, upright, on white where it is transparent; of several frames the first. ConcordError C206."""
    with _opened(path) as image:
        return np.asarray(_in_colour(ImageOps.exif_transpose(image)), np.uint8)


def look(path: Path) -> str:
    """The size of a picture from the file's head; ConcordError C206 where it has none."""
    with _opened(path) as image:
        return f"{image.width} x {image.height}"


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels, at most {MOST_PIXELS:,} are read")
            yield image
    except Exception as error:  # decoders of broken files raise anything
        why = f"no picture of a known format ({', '.join(FORMATS)})" if isinstance(error, UnidentifiedImageError) else error
        raise unreadable(path, why) from error


def _in_colour(image: Image.Image) -> Image.Image:
    if image.mode in DEEP:
        image = Image.fromarray((np.asarray(image).clip(0, 2**16 - 1) // 256).astype(np.uint8))
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert("RGB")
