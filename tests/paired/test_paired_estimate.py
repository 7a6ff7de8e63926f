"""Means over cases against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fiducial import paired


def test_one_case_a_subject_is_the_standard_error_and_the_paired_t_test() -> None:
    ours, theirs = np.random.default_rng(0).random((2, 25))
    subjects = np.arange(25)
    estimate = paired.mean_over_cases(ours, subjects)
    assert estimate.value == pytest.approx(ours.mean())
    assert estimate.variance == pytest.approx(stats.sem(ours) ** 2)
    effect = paired.difference(*(paired.pool([paired.mean_over_cases(v, subjects)]) for v in (ours, theirs)))
    expected = stats.ttest_rel(ours, theirs)
    assert effect.p == pytest.approx(expected.pvalue)
    assert effect.interval() == pytest.approx(tuple(expected.confidence_interval()))


def test_subjects_of_one_size_are_their_means() -> None:
    values = np.random.default_rng(1).random(60)
    subjects = np.arange(60) // 4
    means = values.reshape(15, 4).mean(axis=1)
    assert paired.mean_over_cases(values, subjects).variance == pytest.approx(stats.sem(means) ** 2)


def test_undefined_cases_are_left_out() -> None:
    values = np.array([0.1, np.nan, 0.7, 0.4, np.nan, 0.9])
    estimate = paired.mean_over_cases(values, np.arange(6))
    assert estimate.value == pytest.approx(0.525)
    assert estimate.variance == pytest.approx(stats.sem(values[~np.isnan(values)]) ** 2)
    assert estimate.num_units == 4


def test_one_subject_tells_nothing() -> None:
    estimate = paired.mean_over_cases(np.array([0.1, 0.2]), np.zeros(2, np.int64))
    assert np.isnan(estimate.variance)
    effect = paired.difference(paired.pool([estimate]), paired.pool([estimate]))
    assert np.isnan(effect.p)
    assert np.isnan(effect.interval()).all()
