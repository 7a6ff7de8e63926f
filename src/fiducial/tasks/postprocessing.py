"""From probabilities to a mask, and what is corrected in it class by class: chosen on the validation split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Flags = NDArray[np.bool_]
Mask = NDArray[np.uint8]
NUM_THRESHOLDS = 100
NEARLY_ONE = 0.999


def mask_of(probabilities: NDArray[np.float32], threshold: float = 0.5) -> Mask:
    """Return the most probable class of each pixel; of two, the second one where it is above the threshold.

    Args:
        probabilities: `(classes, *spatial)`.
        threshold: for two classes.
    """
    if len(probabilities) == 2:
        total = probabilities.sum(0)  # less than 1 where a coarser grid ends before this one, 0 beyond
        return np.asarray(probabilities[1] > threshold * np.where(total < NEARLY_ONE, total, 1), np.uint8)
    return np.asarray(probabilities.argmax(0), np.uint8)


class ThresholdChoice:
    """Find the threshold with the best mean Dice of two classes, over the cases that have one as in the test's mean."""

    def __init__(self) -> None:
        self._dice: list[NDArray[np.float64]] = []

    def add(self, probability: NDArray[np.float32], truth: NDArray[np.bool_]) -> None:
        """Take the pixels of another case that count; in one without any of the class all that is called is wrong.

        Args:
            probability: of the second class, `(pixels,)`.
            truth: where it is, `(pixels,)`.
        """
        bins = np.ceil(probability.astype(np.float64) * NUM_THRESHOLDS).astype(np.int64).clip(1, NUM_THRESHOLDS) - 1
        hits, called = (
            np.bincount(chosen, minlength=NUM_THRESHOLDS)[::-1].cumsum()[::-1] for chosen in (bins[truth], bins)
        )
        total = called + np.count_nonzero(truth)
        self._dice.append(np.divide(2.0 * hits, total, out=np.full(NUM_THRESHOLDS, np.nan), where=total > 0))

    def best(self) -> float:
        """Return the threshold, in steps of 0.01; 0.5 where no case says anything."""
        dice = np.array(self._dice).reshape(-1, NUM_THRESHOLDS)[:, 1:]  # at 0 everything would be called
        there = ~np.isnan(dice)
        if not there.any():
            return 0.5
        means = np.divide(np.nansum(dice, 0), there.sum(0), out=np.full(dice.shape[1], -1.0), where=there.any(0))
        thresholds = np.arange(1, NUM_THRESHOLDS) / NUM_THRESHOLDS
        return float(min(thresholds[means >= means.max() - 1e-9], key=lambda value: abs(value - 0.5)))


def largest_component(flags: Flags) -> Flags:
    """Return the largest connected part; pixels that touch at a corner are connected."""
    parts, count = ndimage.label(flags, ndimage.generate_binary_structure(flags.ndim, flags.ndim))
    if count < 2:
        return flags
    kept: Flags = parts == np.bincount(parts.ravel())[1:].argmax() + 1
    return kept


def filled(flags: Flags) -> Flags:
    """Return the flags with their holes: what cannot be reached from the border without crossing a face."""
    whole: Flags = ndimage.binary_fill_holes(flags)
    return whole


Correction = Literal["none", "largest_component", "fill_holes", "largest_component_filled"]
CORRECTIONS: Mapping[str, Callable[[Flags], Flags]] = {
    "none": lambda flags: flags,
    "largest_component": largest_component,
    "fill_holes": filled,
    "largest_component_filled": lambda flags: filled(largest_component(flags)),
}


def corrected(mask: Mask, corrections: Sequence[str]) -> Mask:
    """Return a mask with each class corrected; `corrections` names one of `CORRECTIONS` for each class but the first.

    A hole goes to the class around it only where it was background.
    """
    result = mask.copy()
    for number, name in enumerate(corrections, start=1):
        if name == "none":
            continue
        before = mask == number
        after = CORRECTIONS[name](before)
        result[before & ~after] = 0
        result[after & (result == 0)] = number
    return result


class Choice:
    """Find for each class but the first the correction with the best mean Dice, a case at a time.

    Args:
        num_classes: the background among them.
    """

    def __init__(self, num_classes: int) -> None:
        self._dice = [{name: list[float]() for name in CORRECTIONS} for _ in range(1, num_classes)]

    def add(self, predicted: Mask, truth: Mask, inside: Flags | None = None) -> None:
        """Take another case; one with neither prediction nor truth of a class says nothing about it.

        Args:
            predicted: the whole mask, as it is corrected in the test: a part outside the region can be the largest.
            truth: of the case.
            inside: the region that is scored; None for all of it.
        """
        scored = np.ones(truth.shape, bool) if inside is None else inside
        for number, found in enumerate(self._dice, start=1):
            true = (truth == number) & scored
            for name in CORRECTIONS:
                corrections = ["none"] * len(self._dice)
                corrections[number - 1] = name
                after = (corrected(predicted, corrections) == number) & scored
                total = np.count_nonzero(after) + np.count_nonzero(true)
                if total:
                    found[name].append(2 * np.count_nonzero(after & true) / total)

    def best(self) -> tuple[str, ...]:
        """Return a name out of `CORRECTIONS` for each class; "none" unless another one is better."""
        return tuple(
            _best({name: float(np.mean(values or [0.0])) for name, values in each.items()}) for each in self._dice
        )


def _best(means: Mapping[str, float]) -> str:
    best = max(means, key=lambda name: means[name])
    return best if means[best] > means["none"] + 1e-6 else "none"
