"""What an image file tells of itself without its pixels being read, where its kind allows that."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fiducial.data.formats import PICTURES, decode
from fiducial.data.volumes import is_nifti, volume_size
from fiducial.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def image_size(path: Path) -> tuple[int, ...]:
    """Return the extent along each spatial axis, in the order of `decode`'s.

    Raises:
        InputError: the file is missing or damaged.
    """
    if is_nifti(path):
        shape = list(volume_size(path))
        while len(shape) > 2 and shape[-1] == 1:
            shape.pop()
        return tuple(shape[::-1])
    if path.suffix.lower() in PICTURES and path.is_file():
        from PIL import Image

        try:
            with Image.open(path) as picture:
                return picture.size[::-1]
        except OSError as error:
            raise InputError(f"{path}: the image cannot be read: {error}") from error
    return tuple(decode(path).shape[1:])


def affine_of(path: Path) -> NDArray[np.float64] | None:
    """Return a NIfTI volume's affine to mm (RAS+) from indices in the order of `decode`; None for other files."""
    import nibabel
    import numpy as np

    if not is_nifti(path) or len(image_size(path)) != 3:
        return None
    volume: Any = nibabel.load(path)
    return np.asarray(volume.affine, np.float64)[:, [2, 1, 0, 3]]
