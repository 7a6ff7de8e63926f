"""The paired bootstrap against closed forms, and its intervals by simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from fiducial import paired

Array = np.ndarray[Any, Any]


def binary(score: Array) -> Array:
    return np.stack([1 - score, score], axis=1)


def test_accuracy_has_the_covariance_of_means_of_cases() -> None:
    generator = np.random.default_rng(0)
    labels, subjects = generator.integers(0, 2, 200), np.arange(200) // 2
    common = generator.random(200)
    runs = [np.clip(0.6 * common + 0.4 * generator.random(200), 0, 1) for _ in "ab"]
    drawn = [paired.resampled(["accuracy"], binary(s), labels, "binary", subjects)["accuracy"] for s in runs]
    exact = [paired.mean_over_cases(((s > 0.5) == labels).astype(float), subjects) for s in runs]
    for one, other in ((0, 0), (0, 1)):
        expected = exact[one].errors @ exact[other].errors
        scale = exact[0].variance
        assert drawn[one].errors @ drawn[other].errors == pytest.approx(expected, abs=0.15 * scale)
    assert drawn[0].value == pytest.approx(exact[0].value)


def test_means_have_the_variance_of_means_and_leave_out_undefined_cases() -> None:
    values = np.random.default_rng(1).random(120)
    values[::7] = np.nan
    subjects = np.arange(120) // 3
    drawn, exact = paired.resampled_mean(values, subjects), paired.mean_over_cases(values, subjects)
    assert drawn.value == pytest.approx(exact.value)
    assert drawn.num_units == exact.num_units
    assert drawn.variance == pytest.approx(exact.variance, rel=0.1)


@pytest.mark.parametrize("num", [3, 8])
def test_few_subjects_have_the_variance_of_a_mean(num: int) -> None:
    """The variance of resampled means is (n - 1) / n of it: at 3 subjects two thirds."""
    values = np.random.default_rng(num).random(num)
    drawn = paired.resampled_mean(values, np.arange(num), num_resamples=20_000)
    assert drawn.variance == pytest.approx(values.var(ddof=1) / num, rel=0.04)


def test_a_score_of_one_class_has_the_units_of_that_class() -> None:
    labels = (np.arange(60) < 6).astype(int)
    score = np.random.default_rng(0).random(60)
    names = ["recall", "specificity", "f1", "average_precision", "balanced_accuracy", "calibration_error"]
    found = paired.resampled(names, binary(score), labels, "binary", np.arange(60), num_resamples=20)
    units = {name: estimate.num_units for name, estimate in found.items()}
    called = int(((score > 0.5) | (labels == 1)).sum())
    expected = {"recall": 6, "specificity": 54, "f1": called, "average_precision": 6, "calibration_error": 60}
    assert {name: units[name] for name in expected} == pytest.approx(expected)
    freedom = (1 / 6 + 1 / 54) ** 2 / (1 / (6**2 * 5) + 1 / (54**2 * 53))  # Satterthwaite's
    assert units["balanced_accuracy"] == pytest.approx(1 + freedom)


def test_a_score_that_is_never_defined_has_no_variance() -> None:
    score = np.linspace(0.1, 0.9, 6)
    found = paired.resampled(["auroc"], binary(score), np.ones(6, np.int64), "binary", np.arange(6), num_resamples=20)
    assert np.isnan(found["auroc"].variance)


@pytest.mark.slow
def test_intervals_of_a_difference_cover_it_and_only_subjects_do() -> None:
    """A score by case like Dice: skewed, dependent within subjects of four cases; the true difference is 0.03."""
    generator, num, num_subjects = np.random.default_rng(2), 400, 50
    subjects = np.arange(num_subjects * 4) // 4
    covered = {"subjects": 0, "cases": 0}
    for _ in range(num):
        common = generator.beta(5, 2, num_subjects)[subjects]
        ours = common + 0.03 + 0.05 * generator.normal(size=num_subjects)[subjects]
        theirs = common + 0.05 * generator.normal(size=len(subjects))
        for kind, units in (("subjects", subjects), ("cases", np.arange(len(subjects)))):
            estimates = [paired.resampled_mean(v, units, num_resamples=300) for v in (ours, theirs)]
            low, high = paired.difference(*(paired.pool([estimate]) for estimate in estimates)).interval()
            covered[kind] += low <= 0.03 <= high
    low, high = stats.binom.interval(0.999, num, 0.95)
    assert low <= covered["subjects"] <= high
    assert covered["cases"] < 0.87 * num
