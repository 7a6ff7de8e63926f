"""Settings of several runs: variance against a crossed analysis of variance, size and coverage by simulation."""

from __future__ import annotations

from dataclasses import replace
from math import isnan, sqrt
from typing import Any

import numpy as np
import pytest
from scipy import stats

from fiducial import paired

Array = np.ndarray[Any, Any]


def scores(generator: np.random.Generator, runs: int, cases: Array, *, run: float, rest: float = 0.5) -> Array:
    """Return scores `(runs, cases)`: of the case, of the run, and of neither."""
    return cases + run * generator.normal(size=(runs, 1)) + rest * generator.normal(size=(runs, len(cases)))


def effect(ours: Array, theirs: Array) -> paired.Effect:
    units = np.arange(ours.shape[1])
    return paired.difference(*(paired.pool([paired.mean_over_cases(r, units) for r in v]) for v in (ours, theirs)))


def test_variance_of_one_setting_is_that_of_a_crossed_design() -> None:
    """(MS of runs + MS of cases - MS of both) / (R n), for random runs and cases."""
    generator = np.random.default_rng(0)
    runs, cases = 5, 40
    table = scores(generator, runs, generator.normal(size=cases), run=0.7)
    grand, by_run, by_case = table.mean(), table.mean(axis=1), table.mean(axis=0)
    of_runs = cases * ((by_run - grand) ** 2).sum() / (runs - 1)
    of_cases = runs * ((by_case - grand) ** 2).sum() / (cases - 1)
    rest = table - by_run[:, None] - by_case + grand
    of_both = (rest**2).sum() / ((runs - 1) * (cases - 1))
    pooled = paired.pool([paired.mean_over_cases(row, np.arange(cases)) for row in table])
    assert pooled.value == pytest.approx(grand)
    assert pooled.effect.error() ** 2 == pytest.approx((of_runs + of_cases - of_both) / (runs * cases))


def test_one_run_says_nothing_of_another() -> None:
    values = np.random.default_rng(1).random(20)
    runs = paired.pool([paired.mean_over_cases(values, np.arange(20))]).runs
    assert not runs.known
    assert runs.excess == 0
    assert isnan(runs.variance)


def test_the_same_run_again_adds_nothing() -> None:
    values = np.random.default_rng(2).random(20)
    estimate = paired.mean_over_cases(values, np.arange(20))
    once, thrice = paired.pool([estimate]), paired.pool([estimate] * 3)
    assert thrice.effect.error() == pytest.approx(once.effect.error())
    assert paired.difference(once, thrice).p == 1


def test_difference_that_never_varies_cannot_be_tested() -> None:
    theirs = np.random.default_rng(6).random((1, 9))
    assert isnan(effect(theirs + 0.1, theirs).p)


def test_logit_interval_stays_inside_and_widens_towards_the_middle() -> None:
    right = (np.arange(50) > 1).astype(float)
    mean = paired.pool([paired.mean_over_cases(right, np.arange(50))]).effect
    plain, bounded = mean.interval(), mean.interval(scale="unit")
    assert plain[1] > 1 > bounded[1]
    assert bounded[0] < plain[0]
    half = stats.t.ppf(0.975, 49) * stats.sem(right) / (0.96 * 0.04)
    assert bounded[0] == pytest.approx(1 / (1 + np.exp(-(np.log(0.96 / 0.04) - half))))


@pytest.mark.parametrize("runs", [1, 3])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_answers_that_are_all_right_or_all_wrong_have_the_exact_interval(value: float, runs: int) -> None:
    subjects = np.arange(60) // 2
    mean = paired.pool([paired.mean_over_cases(np.full(60, value), subjects) for _ in range(runs)]).effect
    exact = stats.binomtest(int(30 * value), 30).proportion_ci(method="exact")
    assert mean.interval(scale="share") == pytest.approx((exact.low, exact.high))
    assert np.isnan(mean.interval(scale="unit")).all()


def test_what_other_settings_say_of_runs_narrows_no_interval_at_the_end() -> None:
    """Three runs that are right in all of ten units, beside settings whose runs vary a little, or much."""
    mean = paired.pool([paired.mean_over_cases(np.ones(10), np.arange(10)) for _ in range(3)]).effect
    exact = stats.binomtest(10, 10).proportion_ci(method="exact")
    for variance in (1e-6, 0.04):
        steadied = replace(mean, runs=(paired.Runs(3, variance, 6.0, 0.0),))
        low, high = steadied.interval(scale="share")
        half = stats.t.ppf(0.975, steadied.freedom()) * (variance / 3) ** 0.5
        assert (low, high) == (pytest.approx(min(exact.low, 1 - half)), 1.0)
        assert np.isnan(steadied.interval(scale="unit")).all()


@pytest.mark.slow
@pytest.mark.parametrize(("runs", "run"), [(3, 0.0), (3, 0.3), (5, 0.3)])
def test_size_over_runs_and_cases(runs: int, run: float) -> None:
    """Two settings whose runs scatter about the same mean; a test of cases alone takes the seeds for the setting."""
    generator, num = np.random.default_rng(3), 800
    found = naive = 0
    for _ in range(num):
        cases = generator.normal(size=60)
        ours, theirs = (scores(generator, runs, cases, run=run) for _ in "ab")
        found += effect(ours, theirs).p < 0.05
        naive += stats.ttest_rel(ours.mean(axis=0), theirs.mean(axis=0)).pvalue < 0.05
    low, high = stats.binom.interval(0.999, num, 0.05)
    # Variances are not let below 0: the test holds more than it promises where the choice of runs adds nothing.
    assert (low / 2 if run else 0.005 * num) <= found <= high + 0.01 * num
    if run:
        assert naive > 0.3 * num


@pytest.mark.slow
def test_intervals_cover_over_runs_and_cases() -> None:
    generator, num, covered = np.random.default_rng(4), 1000, 0
    for _ in range(num):
        cases = generator.normal(size=60)
        table = scores(generator, 3, cases, run=0.3)
        low, high = paired.pool([paired.mean_over_cases(row, np.arange(60)) for row in table]).effect.interval()
        covered += low <= 0 <= high
    low, high = stats.binom.interval(0.999, num, 0.95)
    assert low - 0.01 * num <= covered
    assert covered < num


def test_error_of_more_cases_keeps_what_runs_add() -> None:
    generator = np.random.default_rng(5)
    cases = generator.normal(size=80)
    found = effect(*(scores(generator, 4, cases, run=0.5) for _ in "ab"))
    added = sum(runs.excess for runs in found.runs)
    assert found.error(0.25) == pytest.approx(sqrt(found.variance_cases / 4 + added))
    assert found.error(1e-12) == pytest.approx(sqrt(added), rel=1e-5)
