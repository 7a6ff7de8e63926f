"""The forecast against the closed form, and by simulation of the study that it proposes."""

from __future__ import annotations

from math import inf, nan

import numpy as np
import pytest
from scipy import stats

from fiducial import paired
from fiducial.paired.repetition import Runs

ONE = Runs(1, nan, 0.0, 0.0)


def test_one_run_and_many_units_are_the_usual_formula() -> None:
    variance, difference, cases = 0.02, 0.03, 10_000
    effect = paired.Effect(difference, variance / cases * 100, cases, (ONE, ONE))
    factor = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    expected = factor**2 * variance * 100 / difference**2
    assert paired.cases_needed(effect, cases, 0.05) == pytest.approx(expected, rel=1e-3)


def test_a_smaller_level_takes_more_cases_and_enough_is_enough() -> None:
    effect = paired.Effect(0.03, 0.0004, 150, (ONE, ONE))
    assert paired.cases_needed(effect, 150, 0.01) > paired.cases_needed(effect, 150, 0.05) > 150
    assert paired.cases_needed(paired.Effect(0.3, 0.0004, 150, (ONE, ONE)), 150, 0.05) == 150


def test_what_runs_hide_no_case_shows() -> None:
    seeds = Runs(3, 0.01, 2, 0.0)
    assert paired.cases_needed(paired.Effect(0.05, 0.0004, 150, (seeds, seeds)), 150, 0.05) == inf
    without = paired.cases_needed(paired.Effect(0.0, 0.0004, 150, (ONE, ONE)), 150, 0.05)
    assert 1e6 < without < inf


@pytest.mark.slow
def test_the_study_that_is_proposed_has_the_power_that_is_promised() -> None:
    """A pilot with the true difference and variance; then the study with as many cases as the forecast says."""
    generator, gap = np.random.default_rng(0), 0.1
    pilot = paired.Effect(gap, 1.0 / 100, 100, (ONE, ONE))  # differences of cases have a deviation of 1
    cases = round(paired.cases_needed(pilot, 100, 0.05))
    p = stats.ttest_1samp(generator.normal(gap, 1, (2000, cases)), 0, axis=1).pvalue
    assert np.mean(p < 0.05) == pytest.approx(0.8, abs=4 * (0.16 / 2000) ** 0.5)


@pytest.mark.slow
def test_power_with_runs_whose_choice_matters() -> None:
    generator, num, gap, runs = np.random.default_rng(1), 800, 0.5, 6
    of_runs, of_cases = 0.05, 1.0  # variances; nothing is due to both
    pilot = paired.Effect(gap, of_cases * 2 / 30, 30, (Runs(runs, of_runs, runs - 1, 0.0),) * 2)
    cases = round(paired.cases_needed(pilot, 30, 0.05))
    assert 30 < cases < 300
    found = 0
    for _ in range(num):
        tables = [
            shift + of_runs**0.5 * generator.normal(size=(runs, 1)) + generator.normal(size=cases)
            for shift in (gap, 0.0)
        ]
        pooled = [paired.pool([paired.mean_over_cases(row, np.arange(cases)) for row in table]) for table in tables]
        found += paired.difference(*pooled).p < 0.05
    assert found / num == pytest.approx(0.8, abs=0.06)  # the formula adds quantiles, as is usual
