"""Channels that are taken for missing, and what stands for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from fiducial.types import Bool, Float, Tensor

Fill = Literal["mean", "zero", "learned"]
FILLS: tuple[Fill, ...] = ("mean", "zero", "learned")

Image = Float[Tensor, "batch channels *spatial"]
Present = Bool[Tensor, "batch channels"]


def dropped(present: Present, probability: float, draw: torch.Generator) -> Present:
    """Return what is left of the channels if each is lost with a probability; one drawn at random always stays."""
    chance = torch.rand(present.shape, generator=draw, device=present.device).masked_fill(~present, -1)
    return present & ((chance >= probability) | (chance == chance.amax(dim=1, keepdim=True)))


def without(present: Present, missing: Sequence[int]) -> Present:
    """Return what is left of the channels without some of them, by number."""
    left = present.clone()
    left[:, list(missing)] = False
    return left


def filled(image: Image, present: Present, value: Float[Tensor, " channels"]) -> Image:
    """Return images whose missing channels have one value everywhere; the others are as they were."""
    spread = [1] * (image.ndim - 2)
    return torch.where(present.view(*present.shape, *spread), image, value.to(image).view(1, -1, *spread))


def channel_means(images: Iterable[NDArray[Any]], present: NDArray[np.bool_] | None = None) -> list[float]:
    """Return the mean of each channel over all pixels of images `(channels, *spatial)`; uint8 counts as 0..1.

    Args:
        images: of any sizes.
        present: which channels each image has, `(images, channels)`; all if None. A channel that no image has is 0.
    """
    total: Any = 0.0
    count: Any = 0
    for number, image in enumerate(images):
        values = image.reshape(len(image), -1)
        there = np.ones(len(image), bool) if present is None else present[number]
        unit = 255 if image.dtype == np.uint8 else 1
        total = total + there * values.sum(axis=1, dtype=np.float64) / unit
        count = count + there * values.shape[1]
    means: list[float] = (total / np.maximum(count, 1)).tolist()
    return means
