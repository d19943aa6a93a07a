"""Pictures: the common formats of photographs and drawings, upright and on white."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from client_app.data.preparation.raw import Picture
from concord.errors import ConcordError

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
MOST_PIXELS = 64_000_000  # a small file can unpack to any size: told from its header, before it is unpacked
BROKEN = (OSError, ValueError, SyntaxError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)


def read(path: Path) -> Picture:
    """The picture in a file, what is transparent on white; ConcordError C206 for one that cannot be used."""
    try:
        with Image.open(path, formats=FORMATS) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise ValueError(f"{picture.width} x {picture.height} pixels are more than {MOST_PIXELS:,}")
            upright = ImageOps.exif_transpose(picture)
            white = Image.new("RGBA", upright.size, "white")
            return np.asarray(Image.alpha_composite(white, upright.convert("RGBA")).convert("RGB"))
    except BROKEN as error:
        hint = f"a picture is one of {', '.join(FORMATS)}: make the file again, or leave it out"
        raise ConcordError("C206", f"{path}: {error}", hint) from error
