"""Every image of a source read once: sizes, spacing, intensities, those that cannot be read, those that are alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from fiducial.data.files import FileSource
from fiducial.data.formats import decode
from fiducial.data.leakage import Twins, find_twins, in_lots, kinds
from fiducial.data.masked import MaskedSource
from fiducial.data.source import Source
from fiducial.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SAMPLED = 256  # values of each image and channel that percentiles are told from
SIZED = 500  # image files whose size is looked up, where images are resized when read


@dataclass
class Survey:
    """What was seen in the images of a source.

    Attributes:
        corrupt: what is wrong with images that cannot be read, by row.
        blank: rows of images that have one value only.
        unlabelled: rows of cases without mask.
        present: which channels each case has, `(cases, channels)`; None where all have all.
        sizes: how often each spatial size occurs; of the files, where images are resized.
        spacings: how often each spacing (mm) occurs, where files have one.
        lowest: of each channel.
        highest: of each channel.
        values: a sample of each channel's, one array an image, `(channels, values)`.
        mask_pixels: of each class, `(cases, classes)`; empty for sources without masks.
        twins: images that are equal or nearly so.
    """

    corrupt: dict[int, str] = field(default_factory=dict)
    blank: list[int] = field(default_factory=list)
    unlabelled: list[int] = field(default_factory=list)
    present: NDArray[np.bool_] | None = None
    sizes: Counter[tuple[int, ...]] = field(default_factory=Counter)
    spacings: Counter[tuple[float, ...]] = field(default_factory=Counter)
    lowest: NDArray[np.float64] | None = None
    highest: NDArray[np.float64] | None = None
    values: list[NDArray[Any]] = field(default_factory=list)
    mask_pixels: dict[int, NDArray[np.int64]] = field(default_factory=dict)
    twins: Twins | None = None


def survey(source: Source, *, near: bool = True) -> Survey:
    """Read all images, going on past those that cannot be read.

    Args:
        source: of the images; files are decoded one at a time, whatever it keeps.
        near: whether to look for near duplicates, which takes time that grows with the square of the cases.
    """
    if isinstance(source, FileSource):
        source.pack = False  # packing stops at the first corrupt file
    seen, kind_of = Survey(present=source.present), kinds(source.cases)
    rows: list[int] = []
    kind: list[int] = []

    def lots() -> Iterator[NDArray[Any]]:
        for numbers, images in _read(source, seen):
            rows.extend(numbers)
            kind.extend(kind_of[number] for number in numbers)
            _measure(images, numbers, seen)
            yield images

    found = find_twins(lots(), kind, near=near)
    import numpy as np

    row = np.array(rows, np.int64)
    seen.twins = replace(found, equal=[row[group] for group in found.equal], near=row[found.near])
    if isinstance(source, FileSource):
        _look_up_sizes(source, seen)
    return seen


def _read(source: Source, seen: Survey) -> Iterator[tuple[list[int], NDArray[Any]]]:
    """Yield images with their rows."""
    pixels = None if isinstance(source, FileSource | MaskedSource) else source.pixels()
    if pixels is not None:
        start = 0
        for lot in in_lots(pixels):
            yield list(range(start, start + len(lot))), lot
            start += len(lot)
        return
    for row in range(len(source.cases)):
        try:
            image = _sampled(source, row, seen) if isinstance(source, MaskedSource) else source.read(row)
            _check_values(image)
        except InputError as error:
            seen.corrupt[row] = str(error)
            continue
        yield [row], image[None]


def _sampled(source: MaskedSource, row: int, seen: Survey) -> NDArray[Any]:
    """Return the image of a case, noting its spacing and the pixels of each class."""
    import numpy as np

    sample = source.sample(row)
    if sample.affine is not None:
        seen.spacings[tuple(round(length, 3) for length in sample.spacing)] += 1
    if sample.mask is None:
        seen.unlabelled.append(row)
    else:
        seen.mask_pixels[row] = np.bincount(sample.mask.ravel(), minlength=source.spec.num_classes)
    return sample.image


def _check_values(image: NDArray[Any]) -> None:
    import numpy as np

    if image.dtype.kind == "f" and not np.isfinite(image).all():
        raise InputError(f"{np.count_nonzero(~np.isfinite(image))} of {image.size} pixels are NaN or infinite")


def _measure(images: NDArray[Any], rows: list[int], seen: Survey) -> None:
    import numpy as np

    flat = images.reshape(*images.shape[:2], -1)
    if seen.present is not None:
        flat = np.where(seen.present[rows][:, :, None], flat, np.nan)  # what stands for a missing channel is no value
    low, high = flat.min(axis=2), flat.max(axis=2)
    seen.blank += [row for row, same in zip(rows, ((low == high) | np.isnan(low)).all(axis=1), strict=True) if same]
    seen.sizes[tuple(images.shape[2:])] += len(images)
    lowest, highest = np.fmin.reduce(low, axis=0).astype(np.float64), np.fmax.reduce(high, axis=0).astype(np.float64)
    seen.lowest = lowest if seen.lowest is None else np.fmin(seen.lowest, lowest)
    seen.highest = highest if seen.highest is None else np.fmax(seen.highest, highest)
    step = max(1, flat.shape[2] // SAMPLED)
    seen.values += list(flat[:, :, step // 2 :: step])


def _look_up_sizes(source: FileSource, seen: Survey) -> None:
    """Count the sizes of the files themselves, of some where there are many."""
    step = -(-len(source.parts) // SIZED)
    seen.sizes.clear()
    for row in range(0, len(source.parts), step):
        if row not in seen.corrupt:
            first = next(file for file in source.parts[row] if file is not None)
            seen.sizes[tuple(decode(first).shape[1:])] += 1
