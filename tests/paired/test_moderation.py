"""Variances drawn towards a common one: the prior is recovered, and the test keeps its size and gains power."""

from __future__ import annotations

from math import inf, nan

import numpy as np
import pytest
from scipy import stats
from scipy.special import polygamma

from fiducial import paired
from fiducial.paired.moderation import _inverse_trigamma
from fiducial.paired.repetition import Runs


def drawn(generator: np.random.Generator, num: int, *, common: float = inf, freedom: int = 2) -> list[Runs]:
    """Return settings whose true variances are 1, or scatter like 1 / chi-squared with `common` degrees of freedom."""
    true = np.ones(num) if common == inf else common / generator.chisquare(common, num)
    return [Runs(freedom + 1, float(v), freedom, 0.0) for v in true * generator.chisquare(freedom, num) / freedom]


@pytest.mark.parametrize("x", [0.05, 0.7, 3.0, 200.0])
def test_inverse(x: float) -> None:
    assert _inverse_trigamma(float(polygamma(1, x))) == pytest.approx(x)


def test_variances_that_differ_by_chance_count_as_about_one() -> None:
    found = paired.moderate(drawn(np.random.default_rng(0), 4000))
    assert np.mean([runs.variance for runs in found]) == pytest.approx(1, abs=0.05)
    assert np.std([runs.variance for runs in found]) < 0.1
    assert found[0].freedom > 50


def test_scatter_of_true_variances_is_recovered() -> None:
    found = paired.moderate(drawn(np.random.default_rng(1), 20000, common=6))
    assert found[0].freedom - 2 == pytest.approx(6, rel=0.1)


def test_few_settings_and_single_runs_stay_as_they_are() -> None:
    two = drawn(np.random.default_rng(2), 2)
    assert paired.moderate(two) == two
    single = Runs(1, nan, 0.0, 0.0)
    assert paired.moderate([single, *drawn(np.random.default_rng(3), 5)])[0] is single
    still = [Runs(3, 0.0, 2, 0.0)] * 4
    assert paired.moderate(still) == still


@pytest.mark.slow
@pytest.mark.parametrize("common", [inf, 4.0])
def test_size_among_many_settings(common: float) -> None:
    """Means of three runs; the test of each setting alone has two degrees of freedom."""
    generator, num, settings = np.random.default_rng(4), 300, 12
    found = 0
    for _ in range(num):
        true = np.ones(settings) if common == inf else common / generator.chisquare(common, settings)
        table = generator.normal(size=(settings, 3)) * np.sqrt(true)[:, None]
        runs = paired.moderate([Runs(3, float(v), 2, 0.0) for v in table.var(axis=1, ddof=1)])
        effects = [paired.Effect(float(row.mean()), 0.0, 100, (own,)) for row, own in zip(table, runs, strict=True)]
        found += sum(effect.p < 0.05 for effect in effects)
    low, high = stats.binom.interval(0.999, num * settings, 0.05)
    assert low <= found <= high + 0.01 * num * settings
