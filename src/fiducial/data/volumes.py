"""Volumes with their geometry, read from NIfTI; masks written on the grid of their case."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fiducial.data.formats import decode
from fiducial.data.room import check_room
from fiducial.data.sample import Sample, Stored, as_mask, check_same_grid
from fiducial.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PREDICTIONS = "predictions"  # folder of a run in which predicted masks lie
NIFTI = (".nii", ".nii.gz")
LONGEST = 200  # bytes of a case's name in that of a file, which may have 255 with its suffixes
# Black, white, then colours that people with any colour vision tell apart (Okabe and Ito).
PALETTE = ((0, 0, 0), (255, 255, 255), (213, 94, 0), (0, 158, 115), (0, 114, 178), (230, 159, 0), (204, 121, 167))


def is_nifti(path: Path) -> bool:
    """Tell whether a file's name ends as NIfTI's do."""
    return path.name.lower().endswith(NIFTI)


def read_volume(path: Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return a NIfTI file's values in its own axes, `(x, y, z)` or `(x, y, z, channels)`, and its affine to mm (RAS+).

    Raises:
        InputError: the file is missing, cut off, damaged, or no volume.
    """
    import nibabel
    import numpy as np

    if not path.is_file():
        raise InputError(f"{path}: there is no such volume")
    try:
        volume: Any = nibabel.load(path)
        check_room(volume.shape, path)
        values: NDArray[Any] = np.asarray(volume.dataobj)
        affine: NDArray[np.float64] = np.asarray(volume.affine, np.float64)
    except (OSError, EOFError, ValueError, zlib.error, nibabel.filebasedimages.ImageFileError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: the volume cannot be read, it may be cut off: {reason}") from error
    if values.ndim not in (3, 4) or values.dtype.kind not in "biuf" or not values.size:
        raise InputError(f"{path}: expected a volume of numbers, got {values.dtype} of shape {values.shape}")
    if abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise InputError(f"{path}: the affine has no extent along some axis: {affine[:3].round(4).tolist()}")
    return values, affine


def volume_size(path: Path) -> tuple[int, ...]:
    """Return the shape that a NIfTI file's header tells, `(x, y, z)` or `(x, y, z, channels)`.

    Raises:
        InputError: the file is missing or damaged.
    """
    return tuple(int(extent) for extent in _header(path).shape)


def volume_axes(path: Path) -> str:
    """Return where the axes of a NIfTI file lead by its header, such as LPS; empty where it does not tell.

    Raises:
        InputError: the file is missing or damaged.
    """
    import nibabel

    letters = nibabel.aff2axcodes(_header(path).affine)  # type: ignore[no-untyped-call]
    return "" if None in letters else "".join(map(str, letters))


def _header(path: Path) -> Any:
    import nibabel

    if not path.is_file():
        raise InputError(f"{path}: there is no such volume")
    try:
        return nibabel.load(path)
    except (OSError, EOFError, ValueError, zlib.error, nibabel.filebasedimages.ImageFileError) as error:
        raise InputError(f"{path}: the volume cannot be read: {error}") from error


def read_volumes(
    images: Sequence[Path], mask: Path | None, num_classes: int, case: str, stored: Stored | None = None
) -> Sample:
    """Return a case of one NIfTI file a channel, or one file with the channels along its fourth axis.

    Args:
        images: the files.
        mask: file of the mask, if any.
        num_classes: of the mask.
        case: id, for messages.
        stored: see `as_mask`.

    Raises:
        InputError: a file cannot be read, or files of the case differ in shape or geometry.
    """
    import numpy as np

    channels: list[NDArray[Any]] = []
    grid: tuple[tuple[int, ...], NDArray[np.float64]] | None = None
    for file in images:
        values, affine = read_volume(file)
        here = (values.shape[:3], affine)
        check_same_grid(grid or here, here, f"case {case}, {file.name} beside {images[0].name}")
        grid = grid or here
        channels += [values] if values.ndim == 3 else list(np.moveaxis(values, -1, 0))
    assert grid is not None
    truth = None if mask is None else _mask_on(mask, grid, num_classes, case, stored)
    return Sample(np.stack(channels).astype(np.float32), truth, None, grid[1])


def _mask_on(
    file: Path,
    grid: tuple[tuple[int, ...], NDArray[np.float64]],
    num_classes: int,
    case: str,
    stored: Stored | None,
) -> NDArray[np.uint8]:
    values, affine = read_volume(file)
    if values.ndim == 4 and values.shape[-1] == 1:
        values = values[..., 0]
    check_same_grid(grid, (values.shape, affine), f"case {case}, {file.name}")
    return as_mask(values, num_classes, file, stored)


def read_picture_mask(file: Path, num_classes: int, stored: Stored | None = None) -> NDArray[np.uint8]:
    """Return a picture's stored values as class numbers, see `as_mask`; a palette's colours do not matter.

    Raises:
        InputError: the file cannot be read, is in colour, or holds other values.
    """
    import numpy as np
    from PIL import Image

    if file.suffix.lower() == ".png" and file.is_file():
        with Image.open(file) as picture:
            if picture.mode == "P":
                return as_mask(np.asarray(picture), num_classes, file, stored)
    values = decode(file)
    if len(values) != 1:
        raise InputError(f"{file}: expected a mask of class numbers in one channel, got {len(values)} channels")
    return as_mask(values[0], num_classes, file, stored)


def refuse_equal_names(cases: Iterable[str]) -> None:
    """Refuse ids of which two would be the name of one file.

    Raises:
        InputError: naming them.
    """
    known: dict[str, str] = {}
    for case in cases:
        other = known.setdefault(file_name(case), case)
        if other != case:
            raise InputError(f"cases {other} and {case}: their masks would both be files {file_name(case)}; rename one")


def file_name(case: str) -> str:
    """Return a case's id as the name of a file, without its suffix; a long one is cut, and told apart by a hash."""
    name = case.replace("/", "_").replace("\\", "_")
    if len(name.encode()) <= LONGEST:
        return name
    cut = name.encode()[: LONGEST - 17].decode(errors="ignore")
    return f"{cut}-{hashlib.sha256(case.encode()).hexdigest()[:16]}"


def mask_file(stem: Path, affine: NDArray[np.float64] | None) -> Path:
    """Return the file of a mask: `<stem>.nii.gz` of a volume, `<stem>.png` of a picture, the suffix never twice."""
    suffix = _suffix(affine)
    return stem.with_name(stem.name.removesuffix(suffix) + suffix)


def _suffix(affine: NDArray[np.float64] | None) -> str:
    return ".png" if affine is None else ".nii.gz"


def write_mask(stem: Path, mask: NDArray[np.uint8], affine: NDArray[np.float64] | None) -> Path:
    """Write class numbers on the grid of their case, whole or not at all; return the file.

    A volume has the affine; a picture has a palette that makes classes visible. See `mask_file` for the name.
    """
    import nibabel
    import numpy as np
    from PIL import Image

    path = mask_file(stem, affine)
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = _suffix(affine)
    aside = path.with_name(f".{path.name.removesuffix(suffix)}.{os.getpid()}{suffix}")
    if affine is None:
        picture = Image.frombytes("P", mask.shape[::-1], mask.tobytes())
        picture.putpalette([value for colour in PALETTE for value in colour])
        picture.save(aside)
    else:
        volume = nibabel.Nifti1Image(np.asarray(mask, np.uint8), affine)  # type: ignore[no-untyped-call]
        volume.header.set_xyzt_units("mm")  # type: ignore[no-untyped-call]
        nibabel.save(volume, aside)
    aside.replace(path)
    return path


def read_mask(path: Path) -> NDArray[np.uint8]:
    """Return the class numbers that `write_mask` wrote."""
    import numpy as np
    from PIL import Image

    if is_nifti(path):
        return read_volume(path)[0].astype(np.uint8)
    with Image.open(path) as picture:
        return np.asarray(picture, np.uint8)
