"""One image file as an array: decoded, brought to a grey range, a size and a number of channels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fiducial.data.formats import decode
from fiducial.data.image_header import affine_of, image_size
from fiducial.data.sample import check_same_grid
from fiducial.errors import InputError, nearest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Intensity = str | Sequence[float] | None

POLICIES = ("resize", "fit", "pad", "crop")
INTENSITIES = ("minmax", "dtype")
LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601


def read_image(
    path: Path, *, channels: int, size: Sequence[int], policy: str = "resize", intensity: Intensity = None
) -> NDArray[Any]:
    """Return an image file as `(channels, *size)`, uint8 (0..255) or float32 (0..1).

    Args:
        path: PNG, JPEG, GIF, BMP, TIFF, NPY, NIfTI or DICOM.
        channels: 1 takes the luminance of a colour image, 3 repeats a grey one.
        size: extent along each spatial axis, in pixels.
        policy: "resize" (bilinear, anti-aliased), "fit" (resize, keep the aspect, pad with zeros), "pad"
            (around the centre; a larger image is an error) or "crop" (around the centre; a smaller one is padded).
        intensity: how values other than 8-bit become 0..1: "minmax" of each image, "dtype" (the range of its
            unsigned integers), or a window `[low, high]`, for CT in HU.

    Raises:
        InputError: the file is missing, empty, damaged, of another number of axes, holds NaN, or needs a choice.
    """
    return as_input(decode(path), path, channels=channels, size=size, policy=policy, intensity=intensity)


def as_input(
    stored: NDArray[Any],
    path: Path,
    *,
    channels: int,
    size: Sequence[int],
    policy: str = "resize",
    intensity: Intensity = None,
) -> NDArray[Any]:
    """Return the stored values of file `path`, `(channels, *spatial)`, as `read_image` does."""
    pixels = _in_range(stored, path, intensity)
    if pixels.ndim - 1 != len(size):
        raise InputError(f"{path}: expected {len(size)} spatial axes, as in data.spec.size, got {pixels.ndim - 1}")
    return _with_channels(_sized(pixels, tuple(size), policy, path), channels, path)


def read_channels(files: Sequence[Path | None], *, size: Sequence[int], **options: Any) -> NDArray[Any]:
    """Return images of the same place, a file each, as the channels of one: `(files, *size)` float32 in 0..1.

    Args:
        files: as `read_image` takes them; None gives a channel of zeros.
        size: extent along each spatial axis, in pixels.
        **options: see `read_image`.

    Raises:
        InputError: a file cannot be read, or two of them do not lie on one grid.
    """
    import numpy as np

    first, *others = (file for file in files if file is not None)
    grid = image_size(first), affine_of(first)
    for other in others:
        place = f"{other.name} beside {first.name}"
        check_same_grid(grid, (image_size(other), affine_of(other)), place, other="other")
    image = np.zeros((len(files), *size), np.float32)
    for number, file in enumerate(files):
        if file is not None:
            channel = read_image(file, channels=1, size=size, **options)[0]
            image[number] = channel / np.float32(255) if channel.dtype == np.uint8 else channel
    return image


def placement(own: Sequence[int], size: Sequence[int], policy: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return how `read_image` places a file's pixels along each axis: the scale, and where the first one begins.

    Args:
        own: extent of the file along each spatial axis.
        size: that it is brought to.
        policy: see `read_image`.
    """
    inner = tuple(own)
    if policy == "resize":
        inner = tuple(size)
    elif policy == "fit" and tuple(own) != tuple(size):
        inner = _fitted(own, size)
    scale = tuple(after / before for after, before in zip(inner, own, strict=True))
    offset = tuple(float(max(0, w - i) // 2 - max(0, i - w) // 2) for w, i in zip(size, inner, strict=True))
    return scale, offset


def _fitted(own: Sequence[int], size: Sequence[int]) -> tuple[int, ...]:
    """Return the largest extent with the aspect of `own` that `size` holds."""
    factor = min(wanted / got for wanted, got in zip(size, own, strict=True))
    return tuple(max(1, min(wanted, round(got * factor))) for wanted, got in zip(size, own, strict=True))


def check_options(
    size: Sequence[int] | None = None,
    channels: int | None = None,
    policy: str = "resize",
    intensity: Intensity = None,
) -> None:
    """Refuse options that `read_image` cannot use.

    Raises:
        InputError: naming what there is.
    """
    if size is not None and not (isinstance(size, Sequence) and len(size) in (2, 3) and min(size) >= 1):
        raise InputError(f"data.source.size must be [rows, columns] or [slices, rows, columns]; got {size}")
    if channels is not None and channels < 1:
        raise InputError(f"data.source.channels must be at least 1; got {channels}")
    if policy not in POLICIES:
        raise InputError(f"data.source.policy must be {', '.join(POLICIES)}; got {policy}{nearest(policy, POLICIES)}")
    if intensity is None or (isinstance(intensity, str) and intensity in INTENSITIES):
        return
    if isinstance(intensity, str) or not _is_window(intensity):
        raise InputError(
            f"data.source.intensity must be {', '.join(INTENSITIES)} or [low, high] with low < high; "
            f"got {intensity}{nearest(str(intensity), INTENSITIES)}"
        )


def _is_window(intensity: Any) -> bool:
    return isinstance(intensity, Sequence) and len(intensity) == 2 and intensity[0] < intensity[1]


def _in_range(pixels: NDArray[Any], path: Path, intensity: Intensity) -> NDArray[Any]:
    """Return 8-bit values as they are, all others in 0..1."""
    import numpy as np

    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        raise InputError(
            f"{path}: the image holds {np.size(pixels) - np.isfinite(pixels).sum()} NaN or infinite values"
        )
    if intensity is None:
        if pixels.dtype == np.uint8:
            return pixels
        raise InputError(
            f"{path}: values are {pixels.dtype}, from {pixels.min()} to {pixels.max()}; say how they become 0..1: "
            "data.source.intensity=minmax, dtype or [low,high]"
        )
    if intensity == "dtype":
        if pixels.dtype.kind != "u":
            raise InputError(f"{path}: intensity=dtype needs unsigned integers, got {pixels.dtype}; use [low,high]")
        low, high = 0.0, float(np.iinfo(pixels.dtype).max)
    elif intensity == "minmax":
        low, high = float(pixels.min()), float(pixels.max())
    else:
        low, high = (float(bound) for bound in intensity)
    span = (high - low) or 1.0
    scaled: NDArray[np.float32] = ((pixels.astype(np.float32) - low) / span).clip(0, 1)
    return scaled


def _sized(pixels: NDArray[Any], size: tuple[int, ...], policy: str, path: Path) -> NDArray[Any]:
    if pixels.shape[1:] == size:
        return pixels
    if policy == "resize":
        return _resize(pixels, size)
    if policy == "fit":
        return _centred(_resize(pixels, _fitted(pixels.shape[1:], size)), size)
    if policy == "pad" and any(got > wanted for wanted, got in zip(size, pixels.shape[1:], strict=True)):
        raise InputError(
            f"{path}: {pixels.shape[1:]} is larger than {size}; policy=pad only pads: use crop, fit or resize"
        )
    return _centred(pixels, size)


def _centred(pixels: NDArray[Any], size: tuple[int, ...]) -> NDArray[Any]:
    """Return the centre of an image, cropped and padded with zeros to `size`."""
    import numpy as np

    result = np.zeros((len(pixels), *size), pixels.dtype)
    taken, placed = [slice(None)], [slice(None)]
    for wanted, got in zip(size, pixels.shape[1:], strict=True):
        common = min(wanted, got)
        taken.append(slice((got - common) // 2, (got - common) // 2 + common))
        placed.append(slice((wanted - common) // 2, (wanted - common) // 2 + common))
    result[tuple(placed)] = pixels[tuple(taken)]
    return result


def _resize(pixels: NDArray[Any], size: tuple[int, ...]) -> NDArray[Any]:
    """Return an image at another size, bilinear and anti-aliased."""
    import numpy as np

    if len(size) == 2:
        from PIL import Image

        rows, columns = size
        resized = [Image.fromarray(plane).resize((columns, rows), Image.Resampling.BILINEAR) for plane in pixels]
        return np.stack([np.asarray(plane) for plane in resized])
    from scipy import ndimage

    factors = [1.0, *(wanted / got for got, wanted in zip(pixels.shape[1:], size, strict=True))]
    sigma = [max(0.0, (1 / factor - 1) / 2) for factor in factors]  # what is coarser than the new grid is kept
    smooth = ndimage.gaussian_filter(pixels.astype(np.float32), sigma, mode="nearest")
    result: NDArray[Any] = ndimage.zoom(smooth, factors, order=1, mode="nearest", grid_mode=True)
    return result.round().astype(np.uint8) if pixels.dtype == np.uint8 else result


def _with_channels(pixels: NDArray[Any], channels: int, path: Path) -> NDArray[Any]:
    import numpy as np

    if len(pixels) == channels:
        return np.ascontiguousarray(pixels)
    if len(pixels) == 1 and channels == 3:
        return np.repeat(pixels, 3, axis=0)
    if len(pixels) == 3 and channels == 1:
        grey: NDArray[Any] = np.tensordot(np.array(LUMINANCE, np.float32), pixels.astype(np.float32), axes=1)[None]
        return grey.round().astype(np.uint8) if pixels.dtype == np.uint8 else grey
    raise InputError(f"{path}: expected {channels} channels (data.source.channels), got {len(pixels)}")
