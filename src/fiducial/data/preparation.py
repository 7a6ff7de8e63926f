"""From a case as its files have it to the case as the network sees it, by MONAI's transforms."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

import monai
import numpy as np
import torch
from monai.data.meta_tensor import MetaTensor
from monai.transforms.croppad.array import CropForeground
from monai.transforms.intensity.array import (
    HistogramNormalize,
    NormalizeIntensity,
    ScaleIntensityRange,
    ScaleIntensityRangePercentiles,
)
from monai.transforms.spatial.array import Orientation, ResampleToMatch, Spacing
from numpy.typing import NDArray

from fiducial.data.sample import Sample, with_gaps
from fiducial.errors import InputError, nearest

Intensity = Literal["zscore", "percentiles", "histogram", "minmax"]
INTENSITIES = get_args(Intensity)
VERSION = 2  # goes up whenever the same case and options give other values


class Preparation:
    """Bring cases to one orientation, spacing and range of intensities; cut off what surrounds the body.

    Args:
        orientation: where the axes lead (`RAS`: to the right, the front, the head), or None to leave them.
        spacing: of voxels in mm, one value for all axes or one for each; None leaves each case its own.
        intensity: "zscore" (mean 0, standard deviation 1, each channel of each case), "percentiles" (the 0.5th to 0,
            the 99.5th to 1, cut off), "histogram" (equalised to 0..1), "minmax" (to 0..1), a window `[low, high]` (to
            0..1, cut off; HU for CT), or None to leave values as they are.
        nonzero: for "zscore", leave out voxels that are 0 and keep them so.
        crop_above: cut the case to the box of what is above this value in any channel; None leaves it whole.

    Raises:
        InputError: an option is not one of these.
    """

    def __init__(
        self,
        *,
        orientation: str | None = "RAS",
        spacing: float | Sequence[float] | None = None,
        intensity: Intensity | Sequence[float] | None = None,
        nonzero: bool = False,
        crop_above: float | None = None,
    ) -> None:
        if isinstance(intensity, str) and intensity not in INTENSITIES:
            raise InputError(
                f"data.prepare.intensity must be {', '.join(INTENSITIES)}, [low, high] or null; got {intensity}"
                f"{nearest(intensity, INTENSITIES)}"
            )
        if intensity is not None and not isinstance(intensity, str):
            _check_window(intensity)
        if orientation is not None and not _is_orientation(orientation):
            raise InputError(f"data.prepare.orientation must be three letters such as RAS or LPS; got {orientation}")
        if nonzero and intensity != "zscore":
            raise InputError(f"data.prepare.nonzero is for data.prepare.intensity=zscore; got {intensity}")
        self.orientation, self.nonzero, self.crop_above = orientation, nonzero, crop_above
        self.spacing = [float(spacing)] * 3 if isinstance(spacing, int | float) else spacing
        self.intensity = intensity
        if self.spacing is not None and (len(self.spacing) != 3 or min(self.spacing) <= 0):
            raise InputError(f"data.prepare.spacing must be one or three lengths in mm; got {spacing}")

    @property
    def key(self) -> str:
        """What the result depends on, besides the case."""
        return json.dumps([VERSION, monai.__version__, vars(self)], sort_keys=True, default=list)

    def __call__(self, sample: Sample) -> Sample:
        """Return the prepared case; channels that it lacks stay 0.

        Raises:
            InputError: a picture is to be cropped or resampled.
        """
        if self.spacing is not None and sample.affine is None:
            raise InputError("data.prepare.spacing is for volumes: pixels of pictures have no size. Leave it out")
        if self.crop_above is not None and sample.affine is None:
            raise InputError(
                "data.prepare.crop_above is for volumes: nothing tells where a cropped picture lay. Crop the files, or "
                "leave it out"
            )
        if sample.absent:
            there = [number for number in range(len(sample.image)) if number not in sample.absent]
            found = self(replace(sample, image=sample.image[there], absent=()))
            return replace(found, image=with_gaps(found.image, sample.absent), absent=sample.absent)
        affine = None if sample.affine is None else torch.from_numpy(sample.affine)
        image = _meta(sample.image, affine)
        mask, region = (None if part is None else _meta(part[None], affine) for part in (sample.mask, sample.region))
        if affine is not None:
            image = self._placed(image, "bilinear")
            mask, region = (None if part is None else self._placed(part, "nearest") for part in (mask, region))
        if self.crop_above is not None:
            image, mask, region = self._cropped(image, mask, region, self.crop_above)
        if self.intensity is not None:
            image = self._scaled(image)
        elif sample.image.dtype == np.uint8 and image.is_floating_point():  # by spacing; other uint8 is divided later
            image = _as_meta(image / 255)
        return Sample(
            image=_array(image),
            mask=None if mask is None else _array(mask)[0].round().astype(np.uint8),
            region=None if region is None else _array(region)[0] > 0.5,
            affine=None if affine is None else np.asarray(image.affine, np.float64),
        )

    def _placed(self, image: MetaTensor, mode: str) -> MetaTensor:
        """Return a volume in the orientation and spacing that were asked for."""
        if self.orientation is not None:
            image = _as_meta(Orientation(axcodes=self.orientation, labels=None)(image))
        if self.spacing is not None:
            image = _as_meta(Spacing(pixdim=self.spacing, mode=mode, padding_mode="border")(image.float()))
        return image

    def _cropped(
        self, image: MetaTensor, mask: MetaTensor | None, region: MetaTensor | None, above: float
    ) -> tuple[MetaTensor, MetaTensor | None, MetaTensor | None]:
        crop = CropForeground(select_fn=lambda values: values > above, allow_smaller=True)
        start, end = crop.compute_bounding_box(image)
        if min(np.subtract(end, start)) < 1:
            return image, mask, region
        return tuple(None if part is None else crop.crop_pad(part, start, end) for part in (image, mask, region))  # type: ignore[return-value]

    def _scaled(self, image: MetaTensor) -> MetaTensor:
        known: dict[str, Callable[[], Any]] = {
            "zscore": lambda: NormalizeIntensity(nonzero=self.nonzero, channel_wise=True),
            "percentiles": lambda: ScaleIntensityRangePercentiles(0.5, 99.5, 0, 1, clip=True, channel_wise=True),
            "histogram": lambda: _each_channel(HistogramNormalize(min=0, max=1)),
            "minmax": lambda: ScaleIntensityRangePercentiles(0, 100, 0, 1, channel_wise=True),
        }
        if isinstance(self.intensity, str):
            scale = known[self.intensity]()
        else:
            assert self.intensity is not None
            low, high = self.intensity
            scale = ScaleIntensityRange(low, high, 0, 1, clip=True)
        scaled: MetaTensor = scale(image.float())
        return scaled


def restore(
    values: NDArray[np.float32],
    affine: NDArray[np.float64] | None,
    original: tuple[tuple[int, ...], NDArray[np.float64] | None],
    *,
    mode: Literal["bilinear", "nearest"] = "bilinear",
) -> NDArray[np.float32]:
    """Return values on the prepared grid, `(channels, *spatial)`, on the grid of the case; 0 outside the former."""
    size, target = original
    if affine is None or target is None:
        assert values.shape[1:] == size, "pictures are not moved by preparation"
        return values
    if values.shape[1:] == size and np.allclose(affine, target):
        return values
    moving = MetaTensor(torch.from_numpy(values), affine=torch.from_numpy(affine))
    fixed = MetaTensor(torch.empty((1, *size)), affine=torch.from_numpy(target))
    resample = ResampleToMatch(mode=mode, padding_mode="zeros", dtype=np.float64)
    return np.asarray(resample(moving, fixed).numpy(), np.float32)


def _meta(values: NDArray[Any], affine: torch.Tensor | None) -> MetaTensor:
    tensor = torch.from_numpy(np.require(values, requirements=["C", "W"]))  # a decoded picture cannot be written to
    return MetaTensor(tensor) if affine is None else MetaTensor(tensor, affine=affine)


def _as_meta(image: torch.Tensor) -> MetaTensor:
    assert isinstance(image, MetaTensor)
    return image


def _array(image: MetaTensor) -> NDArray[Any]:
    return np.ascontiguousarray(image.as_tensor().numpy() if isinstance(image, MetaTensor) else image.numpy())


def _each_channel(transform: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda image: torch.cat([transform(channel[None]) for channel in image])


def _check_window(intensity: Sequence[float]) -> None:
    if len(intensity) != 2 or not intensity[0] < intensity[1]:
        raise InputError(f"data.prepare.intensity: a window is [low, high] with low < high; got {list(intensity)}")


def _is_orientation(letters: str) -> bool:
    return len(letters) == 3 and all(len(set(letters) & set(pair)) == 1 for pair in ("LR", "PA", "IS"))
