"""Overlap, hits and suppression of boxes, against brute force over pixels and pairs."""

from __future__ import annotations

import numpy as np
import pytest

from fiducial.metrics.boxes import CaseBoxes, assigned, each_case, hits, overlap, suppressed


def some_boxes(count: int, dims: int, seed: int) -> np.ndarray:
    draw = np.random.default_rng(seed)
    low = draw.integers(0, 12, (count, dims))
    return np.concatenate([low, low + draw.integers(1, 8, (count, dims))], axis=1).astype(float)


def pixels(box: np.ndarray, extent: int = 20) -> np.ndarray:
    dims = len(box) // 2
    mask = np.zeros((extent,) * dims, bool)
    mask[tuple(slice(int(a), int(b)) for a, b in zip(box[:dims], box[dims:], strict=True))] = True
    return mask


@pytest.mark.parametrize("dims", [2, 3])
def test_overlap_is_that_of_pixels(dims: int) -> None:
    first, second = some_boxes(6, dims, 0), some_boxes(5, dims, 1)
    expected = [[(pixels(a) & pixels(b)).sum() / (pixels(a) | pixels(b)).sum() for b in second] for a in first]
    np.testing.assert_allclose(overlap(first, second), expected)
    assert overlap(first[:0], second).shape == (0, 5)
    assert overlap(np.array([[1.0, 1, 1, 1]]), np.array([[1.0, 1, 1, 1]])).tolist() == [[0.0]]


def test_what_hits() -> None:
    found = np.array([[0.0, 0, 4, 4], [2, 2, 6, 6], [0, 0, 4, 4]])
    truth, true_label = np.array([[0.0, 0, 4, 4], [4, 4, 8, 8]]), np.array([0, 0])
    case = CaseBoxes(found, np.array([0.9, 0.8, 0.7]), np.array([0, 0, 1]), truth, true_label)
    # the second one's centre is the corner of both boxes: it belongs to the one that begins there
    assert hits(case, "centre").tolist() == [[True, False], [False, True], [False, False]]
    assert hits(case, 0.5).tolist() == [[True, False], [False, False], [False, False]]
    assert hits(case, 4 / 28).tolist() == [[True, False], [True, True], [False, False]]


def test_suppression_is_that_of_brute_force() -> None:
    """Boxes taken one after the other, each kept unless one that was kept covers it too much."""
    draw = np.random.default_rng(3)
    for seed in range(20):
        boxes, score, label = some_boxes(25, 2, seed), draw.random(25).round(1), draw.integers(0, 2, 25)
        kept: list[int] = []
        for row in sorted(range(25), key=lambda row: (-score[row], row)):
            own = pixels(boxes[row])
            common = [
                (own & pixels(boxes[k])).sum() / (own | pixels(boxes[k])).sum() for k in kept if label[k] == label[row]
            ]
            if not common or max(common) <= 0.3:
                kept.append(row)
        assert suppressed(boxes, score, label, 0.3).tolist() == kept


def test_each_box_that_is_there_is_taken_once() -> None:
    truth = np.array([[0.0, 0, 10, 10]])
    found = np.array([[0.0, 0, 10, 9], [0, 0, 10, 10], [5, 5, 20, 20]])
    case = CaseBoxes(found, np.array([0.5, 0.9, 0.7]), np.zeros(3, int), truth, np.zeros(1, int))
    order, right = assigned(case, [0.5, 0.95])
    assert order.tolist() == [1, 2, 0]
    assert right.tolist() == [[True, False, False], [True, False, False]]


def test_empty_places_are_left_out() -> None:
    found, truth = np.zeros((2, 3, 4)), np.ones((2, 2, 4))
    label, true_label = np.array([[0, 1, -1], [-1, -1, -1]]), np.array([[0, -1], [-1, -1]])
    first, second = each_case(found, np.ones((2, 3)), label, truth, true_label)
    assert (len(first.score), len(first.truth), len(second.score), len(second.truth)) == (2, 1, 0, 0)
