"""The area's value, variance and covariances against slow sums over pairs, and the size of the test by simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from fiducial import paired

Array = np.ndarray[Any, Any]


def binary(score: Array) -> Array:
    return np.stack([1 - score, score], axis=1)


def draw(generator: np.random.Generator, num: int, *, ties: bool = False) -> tuple[Array, Array, Array]:
    """Return labels and the scores of two networks that see the same cases."""
    labels = generator.permutation(np.arange(num) % 3 == 0).astype(np.int64)
    common = generator.normal(size=num)
    scores = [stats.norm.cdf(common + generator.normal(size=num) + shift * labels) for shift in (0.7, 1.2)]
    return labels, *(np.round(score, 1) if ties else score for score in scores)


def kernel(positive: float, negative: float) -> float:
    return 1.0 if positive > negative else 0.5 if positive == negative else 0.0


def slow_covariance(labels: Array, first: Array, second: Array) -> tuple[float, float]:
    """Return the area of the first and DeLong's covariance of both, by loops over pairs."""
    ones, zeros = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    areas, by_positive, by_negative = [], [], []
    for score in (first, second):
        table = [[kernel(score[i], score[j]) for j in zeros] for i in ones]
        areas.append(sum(map(sum, table)) / (len(ones) * len(zeros)))
        by_positive.append([sum(row) / len(zeros) for row in table])
        by_negative.append([sum(row[j] for row in table) / len(ones) for j in range(len(zeros))])
    covariance = 0.0
    for placed in (by_positive, by_negative):
        count = len(placed[0])
        products = [(a - areas[0]) * (b - areas[1]) for a, b in zip(placed[0], placed[1], strict=True)]
        covariance += sum(products) / (count - 1) / count
    return areas[0], covariance


@pytest.mark.parametrize("ties", [False, True])
def test_variance_and_covariance_are_delongs(ties: bool) -> None:
    labels, first, second = draw(np.random.default_rng(0), 40, ties=ties)
    ours, theirs = (paired.auroc(binary(s), labels, "binary", np.arange(40)) for s in (first, second))
    for one, other, left, right in ((ours, theirs, first, second), (ours, ours, first, first)):
        area, covariance = slow_covariance(labels, left, right)
        assert one.value == pytest.approx(area, abs=1e-12)
        assert float(one.errors @ other.errors) == pytest.approx(covariance, rel=1e-10)


@pytest.mark.parametrize("target", ["binary", "multiclass", "multilabel"])
def test_value_is_scikit_learns(target: str) -> None:
    generator = np.random.default_rng(1)
    raw = generator.random((60, 2 if target == "binary" else 4))
    probabilities = raw if target == "multilabel" else raw / raw.sum(axis=1, keepdims=True)
    labels = generator.integers(0, 2, (60, 4)) if target == "multilabel" else generator.integers(0, raw.shape[1], 60)
    shown = probabilities[:, 1] if target == "binary" else probabilities
    expected = roc_auc_score(labels, shown, average="macro", multi_class="ovr")
    assert paired.auroc(probabilities, labels, target, np.arange(60)).value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("target", ["multiclass", "multilabel"])
def test_variance_of_a_mean_over_classes_is_the_bootstraps(target: str) -> None:
    generator = np.random.default_rng(4)
    subjects = np.arange(300) // 2
    labels = generator.integers(0, 2, (300, 3)) if target == "multilabel" else generator.integers(0, 3, 300)
    truth = labels if target == "multilabel" else np.eye(3)[labels]
    common = generator.random((150, 3))[subjects]
    raw = 0.4 * truth + 0.3 * common + 0.3 * generator.random((300, 3))
    probabilities = raw if target == "multilabel" else raw / raw.sum(axis=1, keepdims=True)
    exact = paired.auroc(probabilities, labels, target, subjects)
    drawn = paired.resampled(["auroc"], probabilities, labels, target, subjects)["auroc"]
    assert exact.value == pytest.approx(drawn.value)
    assert exact.variance == pytest.approx(drawn.variance, rel=0.12)


def test_a_rare_class_costs_a_mean_what_it_adds_to_its_variance() -> None:
    """Satterthwaite's degrees of freedom of the mean lie between the rarest class's and the sum of all."""
    generator = np.random.default_rng(5)
    labels = np.array([0] * 100 + [1] * 100 + [2] * 2)
    raw = np.eye(3)[labels] + generator.gumbel(size=(202, 3))
    raw[labels == 2, 2] = raw.max() + np.arange(2)  # the rare class is found: it hardly varies
    probabilities = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
    subjects = np.arange(202)
    parts = [
        paired.auroc(np.stack([1 - p, p], 1), (labels == k).astype(int), "binary", subjects)
        for k, p in enumerate(probabilities.T)
    ]
    assert [part.num_units for part in parts] == [100, 100, 2]
    variances, freedoms = np.array([part.variance for part in parts]), np.array([99, 99, 1])
    mean = paired.auroc(probabilities, labels, "multiclass", subjects)
    assert mean.num_units == pytest.approx(1 + variances.sum() ** 2 / (variances**2 / freedoms).sum())
    assert mean.num_units > 90


def test_of_one_kind_of_case_there_is_no_area() -> None:
    estimate = paired.auroc(binary(np.linspace(0, 1, 5)), np.ones(5, np.int64), "binary", np.arange(5))
    assert np.isnan(estimate.value)
    assert np.isnan(estimate.errors).all()


def obuchowski(labels: Array, score: Array, subjects: Array) -> float:
    """Return the variance of Obuchowski 1997 for clustered cases, term by term, by loops."""
    ones, zeros = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    area = np.mean([[kernel(score[i], score[j]) for j in zeros] for i in ones])
    names = np.unique(subjects)
    placed = {i: np.mean([kernel(score[i], score[j]) for j in zeros]) for i in ones}
    placed |= {j: np.mean([kernel(score[i], score[j]) for i in ones]) for j in zeros}
    in_ones, in_zeros = (
        np.array([sum(placed[i] - area for i in kind if subjects[i] == name) for name in names])
        for kind in (ones, zeros)
    )
    with_ones, with_zeros = (len(np.unique(subjects[kind])) for kind in (ones, zeros))
    terms = with_ones / (with_ones - 1) / len(ones) ** 2 * float(in_ones @ in_ones)
    terms += with_zeros / (with_zeros - 1) / len(zeros) ** 2 * float(in_zeros @ in_zeros)
    middle = np.sqrt(with_ones / (with_ones - 1) * with_zeros / (with_zeros - 1))
    return float(terms + 2 * middle / (len(ones) * len(zeros)) * float(in_ones @ in_zeros))


def test_variance_of_clustered_cases_is_obuchowskis() -> None:
    generator = np.random.default_rng(2)
    labels, score, _ = draw(generator, 45)
    subjects = generator.integers(0, 15, 45)
    subjects = np.unique(subjects, return_inverse=True)[1]
    estimate = paired.auroc(binary(score), labels, "binary", subjects)
    assert estimate.variance == pytest.approx(obuchowski(labels, score, subjects), rel=1e-10)


def rejections(num: int, draw_pair: Any, subjects: Array) -> int:
    found = 0
    for _ in range(num):
        labels, first, second = draw_pair()
        ours, theirs = (paired.pool([paired.auroc(binary(s), labels, "binary", subjects)]) for s in (first, second))
        found += paired.difference(ours, theirs).p < 0.05
    return found


@pytest.mark.slow
def test_size_is_five_percent_and_only_clustering_keeps_it() -> None:
    """Both networks are equally good; each has its own dependent errors within subjects of five cases."""
    generator, num = np.random.default_rng(3), 1500
    subjects = np.arange(200) // 5

    def draw_pair(clustered: bool) -> tuple[Array, ...]:
        labels = generator.permutation(40) % 2 if clustered else generator.permutation(200) % 2
        labels = labels[subjects] if clustered else labels
        noise = [generator.normal(size=200) + 1.5 * generator.normal(size=40)[subjects] * clustered for _ in range(2)]
        return labels, *(stats.norm.cdf(labels + part) for part in noise)

    low, high = stats.binom.interval(0.999, num, 0.05)
    assert low <= rejections(num, lambda: draw_pair(False), np.arange(200)) <= high
    # The linearised variance of 40 subjects is a little too small; a point above 5 % is granted for it.
    assert low <= rejections(num, lambda: draw_pair(True), subjects) <= high + 0.01 * num
    assert rejections(num // 5, lambda: draw_pair(True), np.arange(200)) > 0.15 * num / 5
