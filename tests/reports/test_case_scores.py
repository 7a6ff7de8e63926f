"""Scores of cases: the table on disk, and intervals over subjects against a bootstrap written out."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from fiducial.reports.case_scores import CaseScores, mean_intervals, write_case_scores

NAN = float("nan")


def table_of(scores: dict[str, list[float]], subjects: list[str] | None = None) -> CaseScores:
    count = len(next(iter(scores.values())))
    case = np.array([f"c{number}" for number in range(count)])
    subject = case if subjects is None else np.array(subjects)
    arrays = {name: np.array(values) for name, values in scores.items()}
    return CaseScores(case, subject, np.full(count, "test"), arrays)


def test_an_undefined_score_is_an_empty_field(tmp_path: Path) -> None:
    write_case_scores(tmp_path / "t.csv", table_of({"dice": [0.1234567891, NAN], "hd95/a": [NAN, 3.0]}))
    with (tmp_path / "t.csv").open(newline="") as file:
        lines = list(csv.reader(file))
    assert lines == [
        ["case", "subject", "split", "dice", "hd95/a"],
        ["c0", "c0", "test", "0.123456789", ""],
        ["c1", "c1", "test", "", "3"],
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_the_mean_is_over_cases_that_have_the_score() -> None:
    found = mean_intervals(table_of({"dice": [0.5, NAN, 0.7], "none": [NAN, NAN, NAN]}))
    assert found["dice"].value == pytest.approx(0.6)
    assert np.isnan(found["none"].value)
    assert found["none"].num_resamples_used == 0
    assert found["dice"].num_resamples_used < 2000  # some resamples have the undefined case alone


def test_intervals_are_those_of_a_plain_bootstrap() -> None:
    values = np.random.default_rng(0).beta(8, 2, 30)
    found = mean_intervals(table_of({"dice": values.tolist()}))["dice"]
    draws = np.random.default_rng(1).choice(values, (20_000, 30)).mean(1)
    low, high = np.quantile(draws, [0.025, 0.975])
    assert found.low == pytest.approx(low, abs=0.006)
    assert found.high == pytest.approx(high, abs=0.006)


def test_one_subject_has_no_interval() -> None:
    """All its resamples are alike, which would say that all subjects are."""
    of_one = mean_intervals(table_of({"dice": [0.5, 0.9]}, ["a", "a"]))["dice"]
    assert of_one.value == pytest.approx(0.7)
    assert np.isnan([of_one.low, of_one.high]).all()
    assert of_one.num_resamples_used == 0
    defined_in_one = mean_intervals(table_of({"dice": [0.5, 0.7, NAN]}, ["a", "a", "b"]))["dice"]
    assert np.isnan([defined_in_one.low, defined_in_one.high]).all()


@pytest.mark.parametrize(("num_subjects", "expected"), [(3, 0.75), (5, 0.85), (10, 0.90)])
def test_coverage_of_few_subjects_is_what_the_guide_says(num_subjects: int, expected: float) -> None:
    """Of means of normal values; by Student's t for bounds at 1.96 of the resamples' own deviation, 0.85 and 0.90.

    Three have but 27 resamples, for which that formula is too coarse: all of them, for 20,000 samples, gave 0.75.
    """
    values = np.random.default_rng(2).normal(0.7, 0.1, (num_subjects, 2000))
    columns = {str(number): column.tolist() for number, column in enumerate(values.T)}
    found = mean_intervals(table_of(columns), num_resamples=1000)
    covered = np.mean([interval.low <= 0.7 <= interval.high for interval in found.values()])
    assert covered == pytest.approx(expected, abs=0.04)


def test_cases_of_one_subject_are_drawn_together() -> None:
    """Four equal cases a subject say no more than one."""
    values = np.random.default_rng(0).beta(8, 2, 10)
    once = mean_intervals(table_of({"dice": values.tolist()}))["dice"]
    subjects = [f"s{number // 4}" for number in range(40)]
    often = mean_intervals(table_of({"dice": np.repeat(values, 4).tolist()}, subjects))["dice"]
    apart = mean_intervals(table_of({"dice": np.repeat(values, 4).tolist()}))["dice"]
    assert often.high - often.low == pytest.approx(once.high - once.low, rel=0.1)
    assert apart.high - apart.low < 0.6 * (once.high - once.low)


def test_scores_of_which_no_case_differs() -> None:
    """Overlap that is complete in 12 subjects may be less in others; how far a surface may be off, nobody knows."""
    found = mean_intervals(
        table_of({"dice/a": [1.0] * 24, "hd95/a": [0.0] * 24, "volume_error": [0.3] * 24}, [*"abcdefghijkl"] * 2)
    )
    exact = stats.binomtest(12, 12).proportion_ci(method="exact")
    assert (found["dice/a"].low, found["dice/a"].high) == pytest.approx((exact.low, exact.high))
    assert np.isnan([found["hd95/a"].low, found["hd95/a"].high]).all()
    assert (found["volume_error"].low, found["volume_error"].high) == pytest.approx((0.3, 0.3))
