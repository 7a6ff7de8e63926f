"""Holm's method against an example worked by hand."""

from __future__ import annotations

from math import nan

import numpy as np
import pytest

from fiducial import paired


def test_worked_example() -> None:
    """0.01 × 4, 0.02 × 3, 0.03 × 2, 0.035 × 1, each no smaller than the one before; undefined tests are no members."""
    results = paired.holm([0.03, 0.01, nan, 0.035, 0.02])
    assert [result.adjusted for result in results] == pytest.approx([0.06, 0.04, nan, 0.06, 0.06], nan_ok=True)
    levels = [results[n].level for n in (1, 4, 0, 3)]
    assert levels == pytest.approx([0.05 / 4, 0.05 / 3, 0.05 / 2, 0.05])


def test_no_more_than_one_and_alone_as_it_is() -> None:
    assert [result.adjusted for result in paired.holm([0.9, 0.8])] == [1.0, 1.0]
    assert paired.holm([0.04])[0].adjusted == 0.04


def test_any_false_claim_among_true_hypotheses_is_rare() -> None:
    p = np.random.default_rng(0).random((4000, 8))
    claims = np.mean([min(result.adjusted for result in paired.holm(row.tolist())) < 0.05 for row in p])
    assert claims == pytest.approx(0.05, abs=4 * (0.05 * 0.95 / 4000) ** 0.5)
