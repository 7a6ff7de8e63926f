"""An image as a small PNG."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 128  # pixels of the longer side


def thumbnail(image: NDArray[Any]) -> bytes:
    """Return an image, or the middle slice or frame of a volume or sequence, as PNG.

    Args:
        image: `(channels, *spatial)`; bytes are shown as they are, other values from the 1st to the 99th percentile.
    """
    while image.ndim > 3:
        image = image[:, image.shape[1] // 2]
    plane = np.moveaxis(image, 0, -1) if len(image) == 3 else image[0]
    if plane.dtype != np.uint8:
        low, high = np.percentile(plane, [1, 99])
        plane = ((plane - low) / ((high - low) or 1.0)).clip(0, 1) * 255
    picture = Image.fromarray(np.ascontiguousarray(plane, dtype=np.uint8))
    factor = SIDE / max(picture.size)
    size = max(1, round(picture.width * factor)), max(1, round(picture.height * factor))
    small = picture.resize(size, Image.Resampling.BILINEAR if factor < 1 else Image.Resampling.NEAREST)
    file = io.BytesIO()
    small.save(file, "PNG")
    return file.getvalue()
