"""Boxes and what they have in common, in NumPy: overlap, hits, suppression of doubles.

A box is `(low ends, high ends)`, half open, in any unit: overlaps do not change with the scale of an axis.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Hit = float | Literal["centre"]


@dataclass(frozen=True)
class CaseBoxes:
    """What was found in one case, and what is there.

    Attributes:
        found: boxes, `(found, 2 * dims)`.
        score: how sure each is, `(found,)`.
        label: class number of each, `(found,)`.
        truth: boxes, `(there, 2 * dims)`.
        true_label: class number of each, `(there,)`.
    """

    found: Floats
    score: Floats
    label: NDArray[np.int64]
    truth: Floats
    true_label: NDArray[np.int64]

    def of(self, number: int) -> CaseBoxes:
        """Return what belongs to one class."""
        found, there = self.label == number, self.true_label == number
        return CaseBoxes(
            self.found[found], self.score[found], self.label[found], self.truth[there], self.true_label[there]
        )

    def above(self, threshold: float) -> CaseBoxes:
        """Return the case with what was found with at least some score."""
        kept = self.score >= threshold
        return CaseBoxes(self.found[kept], self.score[kept], self.label[kept], self.truth, self.true_label)


def overlap(first: Floats, second: Floats) -> Floats:
    """Return intersection over union of each box with each other, `(first, second)`; 0 where both are empty."""
    dims = first.shape[1] // 2
    low = np.maximum(first[:, None, :dims], second[None, :, :dims])
    high = np.minimum(first[:, None, dims:], second[None, :, dims:])
    common = (high - low).clip(min=0).prod(axis=2)
    union = volume(first)[:, None] + volume(second)[None] - common
    share: Floats = np.divide(common, union, out=np.zeros_like(common), where=union > 0)
    return share


def volume(boxes: Floats) -> Floats:
    """Return the area or volume of boxes, `(boxes,)`."""
    dims = boxes.shape[1] // 2
    extent: Floats = (boxes[:, dims:] - boxes[:, :dims]).clip(min=0).prod(axis=1)
    return extent


def hits(case: CaseBoxes, rule: Hit) -> Flags:
    """Return whether each box that was found hits each that is there, `(found, there)`; classes must agree.

    Args:
        case: of boxes.
        rule: "centre": the centre of what was found lies in the box that is there; a number: they overlap by at least
            so much, as intersection over union.
    """
    same = case.label[:, None] == case.true_label[None]
    if rule != "centre":
        enough: Flags = (overlap(case.found, case.truth) >= rule) & same
        return enough
    dims = case.found.shape[1] // 2
    centre = (case.found[:, :dims] + case.found[:, dims:])[:, None] / 2
    inside = (centre >= case.truth[None, :, :dims]) & (centre < case.truth[None, :, dims:])
    within: Flags = np.asarray(inside.all(axis=2)) & same
    return within


def suppressed(boxes: Floats, score: Floats, label: NDArray[np.int64], most: float) -> NDArray[np.int64]:
    """Return the rows of boxes that stay, the surest first: none overlaps a surer one of its class by more than `most`.

    Greedy non-maximum suppression; of equal scores the earlier box stays.
    """
    order = np.argsort(-score, kind="stable")
    common = overlap(boxes[order], boxes[order]) > most
    common &= label[order][:, None] == label[order][None]
    stays = np.ones(len(order), np.bool_)
    for row in range(len(order)):
        if stays[row]:
            stays[row + 1 :] &= ~common[row, row + 1 :]
    return order[stays].astype(np.int64)


def assigned(case: CaseBoxes, thresholds: Sequence[float]) -> tuple[NDArray[np.int64], Flags]:
    """Return the rows of what was found, the surest first, and whether each is right at each overlap.

    As COCO assigns: one after the other, each takes the box that it overlaps most of those that no surer one has taken,
    if they overlap by the threshold; of equal overlaps the later box.

    Returns:
        rows `(found,)`, and flags `(thresholds, found)` in their order.
    """
    order = np.argsort(-case.score, kind="stable")
    common = overlap(case.found[order], case.truth)
    common[case.label[order][:, None] != case.true_label[None]] = -1
    right = np.zeros((len(thresholds), len(order)), np.bool_)
    for number, threshold in enumerate(thresholds):
        free = np.ones(common.shape[1], np.bool_)
        for row in range(len(order)):
            left = np.where(free, common[row], -1)
            if left.size and left.max() >= threshold:
                free[len(left) - 1 - int(left[::-1].argmax())] = False
                right[number, row] = True
    return order, right


def each_case(
    found: Floats, score: Floats, label: NDArray[np.int64], truth: Floats, true_label: NDArray[np.int64]
) -> Iterator[CaseBoxes]:
    """Yield cases from arrays with as many places for each; a label of -1 marks an empty place."""
    for row in range(len(found)):
        kept, there = label[row] >= 0, true_label[row] >= 0
        yield CaseBoxes(found[row][kept], score[row][kept], label[row][kept], truth[row][there], true_label[row][there])
