"""Images that show the same: a perceptual hash finds candidates, a correlation of thumbnails confirms them.

The hash is that of pHash (Zauner, Implementation and benchmarking of perceptual image hash functions, 2010): signs of
the lowest frequencies of the discrete cosine transform. The images of one medical data set are alike, and what they
share tells none from another: signs are taken relative to the median of all images, correlations to the mean of those
of one kind.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FREQUENCIES = {2: 8, 3: 4}  # kept along each axis: 64 numbers, of which the mean is left out
THUMBNAIL = {2: 32, 3: 16}  # extent along each axis
BLUR = 1.0  # standard deviation in pixels of a thumbnail: noise and parts of a pixel of shift must not count
DISTANCE = 16  # bits of 63 in which the hashes of candidates differ at most
CORRELATION = 0.96  # of what sets two thumbnails apart from the mean, above which they show the same
WORTH_SHIFTING = 0.7  # correlation in place, below which no small shift brings two images together
SHIFT = 1  # pixels of a thumbnail
FLAT = 1e-3  # standard deviation, in shares of the grey range, below which an image shows nothing
FEWEST = 3  # images whose mean is more than one of them
BLOCK = 2048  # images compared at a time: the distances of a block take 32 MiB


@dataclass(frozen=True)
class Looks:
    """What images look like, in brief.

    Attributes:
        frequencies: the lowest ones but the mean, of unit length; NaN for an image that shows nothing, `(images, 63)`
            float32.
        thumbnails: zero mean, unit length, `(images, *spatial)` float16.
    """

    frequencies: NDArray[np.float32]
    thumbnails: NDArray[np.float16]


def looks(images: NDArray[Any]) -> Looks:
    """Return what images look like.

    Args:
        images: `(images, channels, *spatial)` with two or three spatial axes, uint8 or float.
    """
    import numpy as np

    grey = images.mean(axis=1, dtype=np.float32)
    dims = grey.ndim - 1
    axes = tuple(range(1, grey.ndim))
    spread = grey.std(axis=axes)
    whole = 255.0 if images.dtype == np.uint8 else np.maximum(np.abs(grey).max(axis=axes), 1e-12)
    low = _along_axes(grey, [_cosines(extent, FREQUENCIES[dims]) for extent in grey.shape[1:]])
    low = _unit(low.reshape(len(grey), -1)[:, 1:])
    low[spread < FLAT * whole] = np.nan
    small = _along_axes(grey, [_averages(extent, THUMBNAIL[dims]) for extent in grey.shape[1:]])
    small -= small.mean(axis=axes, keepdims=True)
    return Looks(low, _unit(small.reshape(len(grey), -1)).reshape(small.shape).astype(np.float16))


def joined(parts: list[Looks]) -> Looks:
    """Return the looks of several lots of images as one."""
    import numpy as np

    return Looks(np.concatenate([p.frequencies for p in parts]), np.concatenate([p.thumbnails for p in parts]))


def near_pairs(found: Looks, kind: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the pairs of images that show the same, `(pairs, 2)` with the smaller number first, and correlations.

    A pair is one whose hashes differ in at most `DISTANCE` bits, and whose thumbnails correlate by `CORRELATION` or
    more, in place or with one shifted by up to `SHIFT` of its pixels along each axis. Both are relative to what images
    share, which takes three of them or more to tell.

    Args:
        found: what images look like.
        kind: a number for each image, the same for images that are expected to be alike: its class.
    """
    import numpy as np

    number_of, of_kind = np.unique(np.array(kind, np.int64), return_inverse=True)
    shared = np.stack([_shared(found, of_kind == number) for number in range(len(number_of))])
    pairs, correlations = [np.empty((0, 2), np.int64)], [np.empty(0, np.float32)]
    for candidates in _candidates(hashes(found.frequencies)):
        correlation = _correlations(found.thumbnails, shared, of_kind, candidates)
        same = correlation >= CORRELATION
        pairs.append(candidates[same])
        correlations.append(correlation[same])
    return np.concatenate(pairs), np.concatenate(correlations)


def _shared(found: Looks, of_kind: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return what the thumbnails of one kind share, their mean; of all kinds, if there are fewer than three of one."""
    import numpy as np

    shows = ~np.isnan(found.frequencies[:, 0])
    chosen = shows & of_kind if (shows & of_kind).sum() >= FEWEST else shows
    if chosen.sum() < FEWEST:
        return np.zeros(found.thumbnails.shape[1:], np.float32)
    mean: NDArray[np.float32] = found.thumbnails[chosen].mean(axis=0, dtype=np.float32)
    return mean


def hashes(frequencies: NDArray[np.float32]) -> NDArray[np.uint64]:
    """Return 63 bits for each image, `(images,)`; all of them are 1, a hash of its own, where it shows nothing."""
    import numpy as np

    shows = ~np.isnan(frequencies[:, 0])
    bits = np.zeros((len(frequencies), 64), np.uint8)
    if shows.any():
        bits[:, 1:] = frequencies > np.median(frequencies[shows], axis=0)
    result: NDArray[np.uint64] = np.packbits(bits, axis=1).view(">u8").astype(np.uint64).ravel()
    return np.where(shows, result, np.uint64(2**64 - 1))


def _candidates(code: NDArray[np.uint64]) -> Iterator[NDArray[np.int64]]:
    """Yield pairs of near hashes, block by block."""
    import numpy as np

    rows = np.flatnonzero(code != 2**64 - 1)
    code = code[rows]
    for start in range(0, len(code), BLOCK):
        for other in range(start, len(code), BLOCK):
            distance = np.bitwise_count(code[start : start + BLOCK, None] ^ code[None, other : other + BLOCK])
            first, second = np.nonzero(distance <= DISTANCE)
            first, second = first + start, second + other
            later = first < second
            yield np.stack([rows[first[later]], rows[second[later]]], axis=1)


def _correlations(
    thumbnails: NDArray[np.float16],
    shared: NDArray[np.float32],
    of_kind: NDArray[np.int64],
    pairs: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Return the greatest correlation of each pair over small shifts."""
    import numpy as np

    result = np.empty(len(pairs), np.float32)
    in_place = (0,) * (shared.ndim - 1)
    for start in range(0, len(pairs), BLOCK):
        block = slice(start, start + BLOCK)
        first, second = (thumbnails[pairs[block, side]].astype(np.float32) for side in (0, 1))
        mean = np.float32(0.5) * (shared[of_kind[pairs[block, 0]]] + shared[of_kind[pairs[block, 1]]])
        correlation = _correlation(first, second, mean, in_place)
        near = np.flatnonzero((correlation >= WORTH_SHIFTING) & (correlation < CORRELATION))
        for shift in product(range(-SHIFT, SHIFT + 1), repeat=shared.ndim - 1):
            if len(near) and shift != in_place:
                moved = _correlation(first[near], second[near], mean[near], shift)
                correlation[near] = np.maximum(correlation[near], moved)
        result[block] = correlation
    return result


def _correlation(
    first: NDArray[np.float32], second: NDArray[np.float32], shared: NDArray[np.float32], shift: tuple[int, ...]
) -> NDArray[np.float32]:
    """Return the correlation of each pair where they overlap, the second one shifted."""
    import numpy as np

    extents = list(zip(shift, shared.shape[1:], strict=True))
    of_first = tuple(slice(max(s, 0), extent + min(s, 0)) for s, extent in extents)
    of_second = tuple(slice(max(-s, 0), extent - max(s, 0)) for s, extent in extents)
    mean = shared[(slice(None), *of_first)]  # shifted back, the second image shares the same with all
    a, b = (_centred(x[(slice(None), *part)] - mean) for x, part in ((first, of_first), (second, of_second)))
    result: NDArray[np.float32] = np.einsum("np,np->n", a, b)
    return result


def _centred(images: NDArray[np.float32]) -> NDArray[np.float32]:
    flat = images.reshape(len(images), -1)
    return _unit(flat - flat.mean(axis=1, keepdims=True))


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    import numpy as np

    result: NDArray[np.float32] = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return result


def _along_axes(images: NDArray[np.float32], matrices: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Multiply each spatial axis by a matrix."""
    import numpy as np

    for axis, matrix in enumerate(matrices, start=1):
        images = np.moveaxis(np.moveaxis(images, axis, -1) @ matrix.T, -1, axis)
    return images


@cache
def _cosines(extent: int, count: int) -> NDArray[np.float32]:
    """Return the lowest rows of the discrete cosine transform (DCT-II), `(count, extent)`."""
    import numpy as np

    place = (np.arange(extent) + 0.5) / extent
    rows = np.cos(np.pi * np.arange(count)[:, None] * place) / extent
    return rows.astype(np.float32)


@cache
def _averages(extent: int, count: int) -> NDArray[np.float32]:
    """Return the matrix that averages over equal parts of an axis and blurs the result, `(count, extent)`."""
    import numpy as np

    edges = np.linspace(0, extent, count + 1)
    start, end = edges[:-1, None], edges[1:, None]
    overlap = np.minimum(end, np.arange(1, extent + 1)) - np.maximum(start, np.arange(extent))
    blur = np.exp(-((np.arange(count)[:, None] - np.arange(count)) ** 2) / (2 * BLUR**2))
    rows = (blur / blur.sum(axis=1, keepdims=True)) @ (overlap.clip(0) / (extent / count))
    return np.asarray(rows, dtype=np.float32)
