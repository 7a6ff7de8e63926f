"""Whole comparisons of equal settings: how often anything at all is claimed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fiducial.runs.comparison.cases import Cases, Table
from fiducial.runs.comparison.measure import Sample, contrast, measure
from fiducial.runs.comparison.verdict import Measured, scores_and_tests

NUM_SUBJECTS, NUM_SETTINGS, METRICS = 80, 6, ("auroc", "accuracy")
SUBJECTS = np.arange(2 * NUM_SUBJECTS) // 2


def compared(generator: np.random.Generator, seeds: int, *, run: float) -> bool:
    """Return whether a comparison of settings that are equal but for their seeds claims a difference."""
    labels = generator.permutation(2 * NUM_SUBJECTS) % 2
    hard = generator.normal(size=NUM_SUBJECTS)[SUBJECTS]
    names = np.array([f"{number:04d}" for number in range(len(labels))])
    cases = Cases(names, np.array([f"{n:04d}" for n in SUBJECTS]), "test", labels, 2)

    def table() -> Table:
        skill, bias = 1.2 + run * generator.normal(), run * generator.normal()
        score = stats.norm.cdf(skill * (2 * labels - 1) + 0.7 * hard + generator.normal(size=len(labels)) + bias)
        return Table(names, cases.subject, np.full(len(labels), "test"), np.stack([1 - score, score], 1), labels, {})

    def samples() -> dict[str, Sample]:
        return measure([table() for _ in range(seeds)], cases, METRICS)

    reference = samples()
    settings = [Measured.of(reference, {})]
    for _ in range(NUM_SETTINGS - 1):
        ours = samples()
        tests = {name: contrast(name, ours[name], reference[name], cases.subjects) for name in METRICS}
        settings.append(Measured.of(ours, tests))
    _, verdicts = scores_and_tests(settings)
    return any(test.verdict != "cannot tell" for row in verdicts for test in row.values())


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "run"), [(1, 0.0), (3, 0.25)])
def test_any_false_claim_is_rare(seeds: int, run: float) -> None:
    generator, num = np.random.default_rng(0), 250
    found = sum(compared(generator, seeds, run=run) for _ in range(num))
    assert found <= stats.binom.ppf(0.999, num, 0.05)


@pytest.mark.slow
def test_single_seeds_that_differ_are_told_apart_though_their_settings_are_equal() -> None:
    """What the caution about one seed is for: the verdict is about the networks."""
    generator, num = np.random.default_rng(1), 60
    assert sum(compared(generator, 1, run=0.5) for _ in range(num)) > 0.3 * num


OF_SOME = ("recall", "specificity", "precision", "f1", "balanced_accuracy", "average_precision")


@pytest.mark.slow
@pytest.mark.parametrize("positive", [8, 30])
def test_scores_of_few_positive_cases_keep_the_size_of_their_tests(positive: int) -> None:
    """Of 200 cases; two networks that are equally good are told apart in at most 5 % of samples, by any score."""
    generator, num_cases, num = np.random.default_rng(0), 200, 150
    labels, subjects = (np.arange(num_cases) < positive).astype(int), np.arange(num_cases)
    names = np.array([f"{number:04d}" for number in subjects])
    cases, splits = Cases(names, names, "test", labels, 2), np.full(num_cases, "test")

    def sample(common: np.ndarray) -> dict[str, Sample]:
        score = stats.norm.cdf(1.2 * (2 * labels - 1) + 0.7 * common + generator.normal(size=num_cases))
        table = Table(names, names, splits, np.stack([1 - score, score], 1), labels, {})
        return measure([table], cases, OF_SOME)

    found = dict.fromkeys(OF_SOME, 0)
    for _ in range(num):
        common = generator.normal(size=num_cases)
        ours, theirs = sample(common), sample(common)
        for name in OF_SOME:
            found[name] += contrast(name, ours[name], theirs[name], subjects).p < 0.05
    assert max(found.values()) <= stats.binom.ppf(0.999, num, 0.05), found
