"""Batches of patches to train on, and of whole cases to validate and test on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from fiducial.data.dataset import Batch
from fiducial.data.prepared import PreparedCases
from fiducial.data.sample import Sample
from fiducial.data.sampler import Portion
from fiducial.errors import InputError
from fiducial.randomness import derive

MAX_SITES = 10_000  # of each class and case that patches are centred on


class Patches:
    """How training cases are cut, and how whole ones are predicted.

    Args:
        size: extent of a patch along each axis, in pixels of the prepared case.
        per_case: patches of each training case in an epoch.
        foreground: share of patches that are centred on a pixel of a class other than 0; the classes of a case take
            turns at random, so that a small structure is seen as often as a large one.
        window: extent of the windows in which whole cases are predicted; by default that of a patch.

    Raises:
        InputError: an option is out of its range.
    """

    def __init__(
        self,
        *,
        size: Sequence[int],
        per_case: int = 8,
        foreground: float = 0.33,
        window: Sequence[int] | None = None,
    ) -> None:
        for name, extents in (("size", size), ("window", window)):
            if extents is not None and (not extents or min(extents) < 1):
                raise InputError(f"data.patches.{name} must be positive extents in pixels; got {list(extents)}")
        if per_case < 1:
            raise InputError(f"data.patches.per_case must be at least 1; got {per_case}")
        if not 0 <= foreground <= 1:
            raise InputError(f"data.patches.foreground must be a share from 0 to 1; got {foreground}")
        self.size, self.per_case, self.foreground = tuple(size), per_case, foreground
        self.window = tuple(size if window is None else window)


class PatchDataset(Dataset[Batch | InputError]):
    """Cut the patches of a batch.

    Item `row * per_case + number` is patch `number` of case `row`; where it lies follows from the seed, the epoch and
    the item alone. Outside its case a patch repeats the border and counts
    nowhere. A batch holds `image`, `mask` uint8 and `region`
    bool, both `(batch, *spatial)`, `spacing` `(batch, dims)`, `label`, `row`, and what `Portion` says.
    """

    def __init__(self, prepared: PreparedCases, patches: Patches, *, seed: int, fixed: bool = False) -> None:
        self.prepared, self.patches, self.seed, self.fixed = prepared, patches, seed, fixed
        self._sites: dict[int, list[NDArray[np.unsignedinteger[Any]]]] = {}

    def __len__(self) -> int:
        return len(self.prepared) * self.patches.per_case

    def __getitem__(self, item: int) -> Batch | InputError:
        return self.__getitems__([item])

    def __getitems__(self, items: list[int]) -> Batch | InputError:
        portion = items if isinstance(items, Portion) else Portion(items, size=len(items), valid=len(items))
        try:
            cut = [self._cut(item, 0 if self.fixed else portion.epoch) for item in portion]
        except InputError as error:
            return error
        parts = {name: torch.from_numpy(np.stack([patch[name] for patch in cut])) for name in cut[0]}
        return {**_rows([item // self.patches.per_case for item in portion]), **vars(portion), **parts}

    def _cut(self, item: int, epoch: int) -> dict[str, NDArray[Any]]:
        row = item // self.patches.per_case
        sample, size = self.prepared[row], self.patches.size
        if len(size) != len(sample.size):
            raise InputError(f"data.patches.size must have {len(sample.size)} extents, as the images; got {list(size)}")
        rng = np.random.default_rng(derive(self.seed, "patch", epoch, item))
        room = np.maximum(np.subtract(sample.size, size), 0)
        start = rng.integers(0, room, endpoint=True)
        sites = self._sites_of(row) if rng.random() < self.patches.foreground else []
        if sites:
            pixels = sites[rng.integers(len(sites))]
            centre = np.array(np.unravel_index(pixels[rng.integers(len(pixels))], sample.size))
            start = np.clip(centre - np.floor_divide(size, 2), 0, room)
        return _patch(sample, tuple(start.tolist()), size)

    def _sites_of(self, row: int) -> list[NDArray[np.unsignedinteger[Any]]]:
        """Return for each class of a case, but the first, where it is: some of its pixels, by their number."""
        if row not in self._sites:
            mask = self.prepared[row].mask
            found = [] if mask is None else [number for number in np.unique(mask).tolist() if number]
            rng = np.random.default_rng(derive(self.seed, "sites", row))
            self._sites[row] = [_some(mask == number, rng) for number in found if mask is not None]
        return self._sites[row]


class WholeDataset(Dataset[Batch | InputError]):
    """Give one whole case as a batch, in the form of `PatchDataset`'s."""

    def __init__(self, prepared: PreparedCases) -> None:
        self.prepared = prepared

    def __len__(self) -> int:
        return len(self.prepared)

    def __getitem__(self, row: int) -> Batch | InputError:
        return self.__getitems__([row])

    def __getitems__(self, rows: list[int]) -> Batch | InputError:
        portion = rows if isinstance(rows, Portion) else Portion(rows, size=len(rows), valid=len(rows))
        assert len(portion) == 1, "whole cases differ in size"
        try:
            sample = self.prepared[portion[0]]
        except InputError as error:
            return error
        parts = _patch(sample, (0,) * len(sample.size), sample.size)
        return {
            **_rows(portion),
            **vars(portion),
            **{name: torch.from_numpy(part[None]) for name, part in parts.items()},
        }


def _rows(rows: list[int]) -> dict[str, torch.Tensor]:
    return {"row": torch.tensor(rows), "label": torch.zeros(len(rows), dtype=torch.int64)}


def _patch(sample: Sample, start: tuple[int, ...], size: tuple[int, ...]) -> dict[str, NDArray[Any]]:
    """Return a patch of a case from pixel `start` on; a case that is smaller lies in its middle."""
    taken = tuple(slice(at, at + extent) for at, extent in zip(start, size, strict=True))
    if sample.mask is None:  # nobody knows the truth of an unlabelled case anywhere
        mask, region = np.zeros(size, np.uint8), np.zeros(size, np.bool_)
    else:
        known = np.ones(sample.mask[taken].shape, np.bool_) if sample.region is None else sample.region[taken]
        mask, region = _placed(sample.mask[taken], size), _placed(known, size)
    image = _placed(sample.image[(slice(None), *taken)], size, "edge")
    return {"image": image, "mask": mask, "region": region, "spacing": np.array(sample.spacing, np.float32)}


def _placed(part: NDArray[Any], size: tuple[int, ...], mode: Literal["edge", "constant"] = "constant") -> NDArray[Any]:
    """Return a copy of what was cut, in the middle of its own border or of zeros where it is smaller than `size`."""
    lead, spatial = part.ndim - len(size), part.shape[part.ndim - len(size) :]
    if spatial == size:
        return np.array(part)
    missing = [extent - inner for extent, inner in zip(size, spatial, strict=True)]
    return np.pad(part, [(0, 0)] * lead + [(room // 2, room - room // 2) for room in missing], mode)


def _some(flags: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.unsignedinteger[Any]]:
    """Return where some of the flags are: their numbers in the flat array, in the smallest type that holds them."""
    flat = np.flatnonzero(flags)
    if len(flat) > MAX_SITES:
        flat = flat[rng.choice(len(flat), MAX_SITES, replace=False)]
    return flat.astype(np.min_scalar_type(flags.size))
