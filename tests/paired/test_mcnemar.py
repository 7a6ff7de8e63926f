"""The exact test against the binomial one, and against every assignment of signs."""

from __future__ import annotations

import importlib
from itertools import product

import numpy as np
import pytest
from scipy import stats

from fiducial import paired


@pytest.mark.parametrize(("only_ours", "only_theirs"), [(0, 0), (1, 0), (3, 9), (7, 7), (40, 21), (300, 350)])
def test_one_case_a_subject_is_the_binomial_test(only_ours: int, only_theirs: int) -> None:
    ours = np.array([1.0] * only_ours + [0.0] * only_theirs + [1.0] * 5)
    theirs = np.array([0.0] * only_ours + [1.0] * only_theirs + [1.0] * 5)
    discordant = only_ours + only_theirs
    expected = stats.binomtest(only_ours, discordant, 0.5).pvalue if discordant else 1.0
    assert paired.mcnemar(ours, theirs, np.arange(len(ours))) == pytest.approx(expected, rel=1e-9)


def test_without_a_case_that_counts_there_is_no_p() -> None:
    nothing = np.full(4, np.nan)
    assert np.isnan(paired.mcnemar(nothing, nothing, np.arange(4)))


def test_clustered_cases_against_all_signs() -> None:
    generator = np.random.default_rng(0)
    subjects = np.sort(generator.integers(0, 12, 60))
    subjects = np.unique(subjects, return_inverse=True)[1]
    ours, theirs = (generator.random((2, 60)) < [[0.8], [0.6]]).astype(float)
    sizes = np.array([(ours - theirs)[subjects == subject].sum() for subject in np.unique(subjects)])
    totals = [abs(sizes @ signs) for signs in product([-1, 1], repeat=len(sizes))]
    expected = np.mean([total >= abs(sizes.sum()) for total in totals])
    assert paired.mcnemar(ours, theirs, subjects) == pytest.approx(expected, rel=1e-9)


def test_many_subjects_agree_with_the_exact_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(1)
    subjects = np.arange(9000) // 3
    ours, theirs = (generator.random((2, 9000)) < [[0.727], [0.7]]).astype(float)
    normal = paired.mcnemar(ours, theirs, subjects)
    module = importlib.import_module("fiducial.paired.mcnemar")  # the package has the function under this name
    monkeypatch.setattr(module, "MOST_EXACT", 10**6)
    assert 0.005 < normal < 0.2
    assert normal == pytest.approx(paired.mcnemar(ours, theirs, subjects), rel=0.1)


@pytest.mark.slow
def test_size_is_at_most_five_percent_and_ignoring_subjects_exceeds_it() -> None:
    generator, num = np.random.default_rng(2), 1000
    subjects = np.arange(240) // 6
    found = {"clustered": 0, "naive": 0}
    for _ in range(num):
        right = [(generator.normal(size=40)[subjects] + generator.normal(size=240) > -1).astype(float) for _ in "ab"]
        found["clustered"] += paired.mcnemar(right[0], right[1], subjects) < 0.05
        found["naive"] += paired.mcnemar(right[0], right[1], np.arange(240)) < 0.05
    low, high = stats.binom.interval(0.999, num, 0.05)
    assert found["clustered"] <= high
    assert found["clustered"] >= low / 2  # exact tests fall short of their level, but not by far
    assert found["naive"] > 0.12 * num
