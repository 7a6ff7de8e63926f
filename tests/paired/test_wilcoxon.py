"""Signed ranks of subjects' means against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fiducial import paired


def test_one_case_a_subject_is_scipys() -> None:
    ours, theirs = np.random.default_rng(0).random((2, 30))
    expected = stats.wilcoxon(ours, theirs).pvalue
    assert paired.wilcoxon(ours, theirs, np.arange(30)) == pytest.approx(expected)


def test_subjects_count_once_and_undefined_cases_not_at_all() -> None:
    generator = np.random.default_rng(1)
    ours, theirs = generator.random((2, 40))
    subjects = np.arange(40) // 4
    ours[3], theirs[20] = np.nan, np.nan
    theirs[36:40] = np.nan
    means = [np.nanmean((ours - theirs)[subjects == subject]) for subject in range(9)]
    assert paired.wilcoxon(ours, theirs, subjects) == pytest.approx(stats.wilcoxon(means).pvalue)


def test_equal_scores_and_no_scores() -> None:
    same = np.full(6, 0.1) * 3
    assert paired.wilcoxon(same, np.full(6, 0.3), np.arange(6)) == 1
    assert np.isnan(paired.wilcoxon(np.full(6, np.nan), same, np.arange(6)))
