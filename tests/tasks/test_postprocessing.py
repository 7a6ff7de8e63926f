"""Corrections of masks, and which of them the validation split chooses."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from fiducial.tasks.postprocessing import Choice, ThresholdChoice, corrected, filled, largest_component, mask_of

RING = np.zeros((12, 12), bool)
RING[2:9, 2:9] = True
RING[4:7, 4:7] = False


def test_the_largest_part_stays() -> None:
    flags = RING.copy()
    flags[10:12, 10:12] = True
    np.testing.assert_array_equal(largest_component(flags), RING)
    np.testing.assert_array_equal(largest_component(np.zeros((4, 4), bool)), np.zeros((4, 4), bool))


def test_parts_that_touch_at_a_corner_are_one() -> None:
    flags = np.eye(6, dtype=bool)
    np.testing.assert_array_equal(largest_component(flags), flags)


def test_holes_are_filled() -> None:
    expected = np.zeros((12, 12), bool)
    expected[2:9, 2:9] = True
    np.testing.assert_array_equal(filled(RING), expected)


def test_each_class_has_its_own_correction_and_takes_no_other() -> None:
    mask = np.where(RING, 1, 0).astype(np.uint8)
    mask[5, 5] = 2  # in the hole of class 1
    mask[11, 0] = 2
    found = corrected(mask, ("fill_holes", "largest_component"))
    assert found[5, 5] == 2
    assert found[4, 4] == 1
    assert found[11, 0] == 0
    np.testing.assert_array_equal(corrected(mask, ("none", "none")), mask)


def pair(truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return predicted.astype(np.uint8), truth.astype(np.uint8)


def best_corrections(pairs: list[tuple[np.ndarray, np.ndarray]], num_classes: int) -> tuple[str, ...]:
    choice = Choice(num_classes)
    for predicted, truth in pairs:
        choice.add(predicted, truth)
    return choice.best()


def test_the_mean_over_cases_decides() -> None:
    """Filling helps one case by more than it harms two."""
    whole = filled(RING)
    harmed, helped = pair(RING, RING), pair(whole, RING)
    assert best_corrections([harmed, harmed, helped], 2) == ("none",)
    assert best_corrections([harmed, helped, helped], 2) == ("fill_holes",)


def test_what_is_chosen_is_what_is_applied() -> None:
    """A part outside the region counts as the test has it, and a hole that another class fills is no hole."""
    truth = np.zeros((12, 12), np.uint8)
    truth[1:4, 1:4] = 1
    predicted = truth.copy()
    predicted[0, 11] = 1  # a speck inside
    predicted[6:12, :] = 1  # the largest part is outside the region
    inside = np.zeros((12, 12), bool)
    inside[:6] = True
    choice = Choice(2)
    choice.add(predicted, truth, inside)
    assert choice.best() == ("none",)

    core = np.where(filled(RING) & ~RING, 2, RING).astype(np.uint8)
    holed = core.copy()
    holed[3, 3] = 0  # a hole of the ring beside the core, which filling closes
    choice = Choice(3)
    choice.add(holed, core)
    assert choice.best() == ("fill_holes", "none")


def test_validation_chooses_what_helps() -> None:
    whole = filled(RING)
    speckled = whole.copy()
    speckled[11, 11] = True
    holed_and_speckled = RING.copy()
    holed_and_speckled[11, 11] = True
    assert best_corrections([pair(whole, speckled)], 2) == ("largest_component",)
    assert best_corrections([pair(whole, RING)], 2) == ("fill_holes",)
    assert best_corrections([pair(whole, holed_and_speckled)], 2) == ("largest_component_filled",)
    assert best_corrections([pair(RING, RING)], 2) == ("none",)


def test_nothing_is_corrected_without_a_gain() -> None:
    empty = np.zeros((4, 4), bool)
    assert best_corrections([pair(empty, empty)], 3) == ("none", "none")
    assert best_corrections([], 2) == ("none",)


def test_the_threshold_is_the_best_of_all() -> None:
    """Against Dice at each threshold by scikit-learn."""
    rng = np.random.default_rng(0)
    choice, cases = ThresholdChoice(), []
    for number in range(5):
        truth = rng.random(400) < (0.2 if number < 3 else 0)  # two healthy cases, in which all that is called is wrong
        probability = np.clip(0.25 + 0.2 * truth + rng.normal(0, 0.1, 400), 0, 1).astype(np.float32)
        choice.add(probability, truth)
        cases.append((truth, probability))
    steps = np.arange(1, 100) / 100
    means = [
        np.nanmean([f1_score(truth, probability > step, zero_division=np.nan) for truth, probability in cases])
        for step in steps
    ]
    assert means[round(100 * choice.best()) - 1] == pytest.approx(max(means))
    assert means[49] < max(means) - 0.05
    assert ThresholdChoice().best() == 0.5


def test_the_threshold_of_healthy_cases_alone_calls_nothing() -> None:
    choice = ThresholdChoice()
    choice.add(np.array([0.1, 0.7], np.float32), np.zeros(2, bool))
    assert choice.best() == 0.5, "any is as good: nothing is right"


def test_masks_of_probabilities() -> None:
    two = np.array([[0.7, 0.5, 0.2], [0.3, 0.5, 0.8]], np.float32)
    assert mask_of(two).tolist() == [0, 0, 1]
    assert mask_of(two, 0.25).tolist() == [1, 1, 1]
    three = np.array([[0.4, 0.1], [0.3, 0.2], [0.3, 0.7]], np.float32)
    assert mask_of(three).tolist() == [0, 2]
    assert mask_of(np.zeros((2, 1), np.float32)).tolist() == [0]
    faded = np.array(
        [[0.2, 0.4], [0.466, 0.26]], np.float32
    )  # a coarser grid ends before this one: two thirds are left
    assert mask_of(faded).tolist() == [1, 0]


def test_a_volume() -> None:
    flags = np.zeros((6, 6, 6), bool)
    flags[1:5, 1:5, 1:5] = True
    flags[2:4, 2:4, 2:4] = False
    assert filled(flags).sum() == 64
