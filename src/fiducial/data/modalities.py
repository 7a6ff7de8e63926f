"""Channels that are taken for missing, and what stands for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from fiducial.errors import InputError, nearest
from fiducial.randomness import generator
from fiducial.types import Bool, Float, Int, Tensor

Fill = Literal["mean", "zero", "learned"]
FILLS: tuple[Fill, ...] = ("mean", "zero", "learned")

Image = Float[Tensor, "batch channels *spatial"]
Present = Bool[Tensor, "batch channels"]


class Gaps:
    """Which channels are taken for missing, and what stands for them.

    Args:
        channels: of an image.
        dropout: probability with which each channel of a training image is taken for missing; one always stays.
        missing: channels, by number, that are taken for missing in validation and test.
        fill: what stands for a missing channel.
        known: which channels each case has, `(cases, channels)`; None if all have all.

    Attributes:
        means: of the channels over the training split; None as long as nobody asked.

    Raises:
        InputError: an option is out of its range, or nothing would teach values that are to be learned.
    """

    def __init__(
        self, channels: int, *, dropout: float, missing: Sequence[int], fill: Fill, known: NDArray[np.bool_] | None
    ) -> None:
        if not 0 <= dropout < 1:
            raise InputError(f"data.channel_dropout must be at least 0 and below 1; got {dropout}")
        if dropout and channels == 1:
            raise InputError(
                "data.channel_dropout is for images of several channels, one of which always stays; got one"
            )
        if not set(missing) < set(range(channels)):
            raise InputError(
                f"data.missing must be some, and not all, of the channels 0 to {channels - 1}; got {list(missing)}"
            )
        if fill not in FILLS:
            raise InputError(f"data.fill must be {', '.join(FILLS)}; got {fill}{nearest(fill, FILLS)}")
        if fill == "learned" and not dropout and known is None:
            raise InputError(
                "data.fill=learned is learned from training images with missing channels: give data.channel_dropout=0.3"
            )
        self.channels, self.dropout, self.missing, self.fill = channels, dropout, list(missing), fill
        self.known = None if known is None else torch.from_numpy(known)
        self.means: list[float] | None = None

    def present(
        self, rows: Int[Tensor, " batch"], follows: tuple[int | str, ...], *, training: bool, device: torch.device
    ) -> Present | None:
        """Return which channels of a batch's images are taken for present; None where none can be missing.

        Args:
            rows: of the cases.
            follows: what the random draw follows from.
            training: whether the batch trains.
            device: of the result.
        """
        if self.known is None and not (self.dropout if training else self.missing):
            return None
        there = (
            torch.ones((len(rows), self.channels), dtype=torch.bool) if self.known is None else self.known[rows.cpu()]
        )
        there = there.to(device)
        return (
            dropped(there, self.dropout, generator(*follows, device=device))
            if training
            else without(there, self.missing)
        )

    @property
    def needs_means(self) -> bool:
        """Whether means are to be learned before anything can be filled."""
        return self.fill == "mean" and self.means is None

    def learn_means(self, images: Iterable[NDArray[Any]], rows: list[int]) -> None:
        """Take the means of images, those of the training split, given with their rows."""
        self.means = channel_means(images, None if self.known is None else self.known[rows].numpy())

    @property
    def value(self) -> Float[Tensor, " channels"]:
        """What stands for each channel, before normalisation; 0 unless it is the mean."""
        return torch.tensor(self.means if self.fill == "mean" else [0.0] * self.channels)


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
