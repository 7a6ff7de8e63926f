"""Weighted scores and bootstrap intervals against scikit-learn, closed forms and simulation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats
from sklearn import metrics as sk

from fiducial.metrics import classification_scores
from fiducial.statistics import bootstrap, scores

torch.set_num_threads(1)
Array = NDArray[Any]
TARGETS = {"binary": 2, "multiclass": 4, "multilabel": 3, "ordinal": 5}


def make(target: str, seed: int, num_cases: int = 40) -> tuple[Array, Array]:
    """Draw probabilities with ties, and labels of which some classes may be absent."""
    generator = np.random.default_rng(seed)
    num_classes = TARGETS[target]
    if target == "multilabel":
        labels = (generator.random((num_cases, num_classes)) < generator.random(num_classes) / 4).astype(np.int64)
        return generator.integers(9, size=labels.shape) / 8, labels
    labels = generator.choice(num_classes, size=num_cases, p=generator.dirichlet(np.full(num_classes, 0.5)))
    probabilities = generator.multinomial(8, generator.dirichlet(np.ones(num_classes), size=num_cases)) / 8
    return probabilities, labels.astype(np.int64)


@pytest.mark.parametrize("target", TARGETS)
def test_scores_equal_those_of_the_metrics(target: str) -> None:
    for seed in range(10):
        probabilities, labels = make(target, seed)
        in_torch = classification_scores(torch.from_numpy(probabilities), torch.from_numpy(labels), target)
        expected = {name: float(value) for name, value in in_torch.items()}
        assert scores(probabilities, labels, target) == pytest.approx(expected, abs=2e-6, nan_ok=True)


@pytest.mark.parametrize("target", TARGETS)
def test_a_weight_of_n_is_n_cases(target: str) -> None:
    probabilities, labels = make(target, 1)
    weights = np.random.default_rng(2).integers(4, size=len(labels))
    expected = scores(probabilities.repeat(weights, axis=0), labels.repeat(weights, axis=0), target)
    assert scores(probabilities, labels, target, weights) == pytest.approx(expected, nan_ok=True)
    assert scores(probabilities, labels, target, weights / 3) == pytest.approx(expected, nan_ok=True)


def test_weights_are_those_of_scikit_learn() -> None:
    probabilities, labels = make("binary", 1, num_cases=80)
    weights = np.random.default_rng(0).gamma(1.0, size=80)
    predicted, score = probabilities.argmax(axis=1), probabilities[:, 1]
    weighting = {"sample_weight": weights}
    result = scores(probabilities, labels, "binary", weights)
    assert {name: value for name, value in result.items() if name != "calibration_error"} == pytest.approx(
        {
            "accuracy": sk.accuracy_score(labels, predicted, **weighting),
            "balanced_accuracy": sk.balanced_accuracy_score(labels, predicted, **weighting),
            "recall": sk.recall_score(labels, predicted, **weighting),
            "specificity": sk.recall_score(labels, predicted, pos_label=0, **weighting),
            "precision": sk.precision_score(labels, predicted, **weighting),
            "f1": sk.f1_score(labels, predicted, **weighting),
            "auroc": sk.roc_auc_score(labels, score, **weighting),
            "average_precision": sk.average_precision_score(labels, score, **weighting),
        }
    )


def test_weights_of_several_classes_are_those_of_scikit_learn() -> None:
    probabilities, _ = make("ordinal", 3, num_cases=200)
    labels = np.random.default_rng(3).integers(5, size=200)
    weights = np.random.default_rng(0).gamma(1.0, size=200)
    predicted = probabilities.argmax(axis=1)
    result = scores(probabilities, labels, "ordinal", weights)
    one_versus_rest = {"multi_class": "ovr", "average": "macro", "sample_weight": weights}
    kappa = sk.cohen_kappa_score(labels, predicted, weights="quadratic", sample_weight=weights)
    assert result["auroc"] == pytest.approx(sk.roc_auc_score(labels, probabilities, **one_versus_rest))
    assert result["quadratic_kappa"] == pytest.approx(kappa)
    assert result["mae"] == pytest.approx(sk.mean_absolute_error(labels, predicted, sample_weight=weights))
    assert result["f1"] == pytest.approx(sk.f1_score(labels, predicted, average="macro", sample_weight=weights))


@pytest.mark.parametrize("target", TARGETS)
def test_values_are_the_scores_and_lie_within_their_bounds(target: str) -> None:
    probabilities, labels = make(target, 2)
    intervals = bootstrap(probabilities, labels, np.arange(len(labels)), target, num_resamples=200)
    expected = scores(probabilities, labels, target)
    assert {name: interval.value for name, interval in intervals.items()} == pytest.approx(expected, nan_ok=True)
    for interval in intervals.values():
        assert interval.num_resamples_used == 0 or interval.low <= interval.value <= interval.high


def test_a_seed_fixes_the_bounds() -> None:
    probabilities, labels = make("binary", 4)
    subjects = [f"s{i // 2}" for i in range(len(labels))]
    first, again, other = (
        bootstrap(probabilities, labels, subjects, "binary", num_resamples=100, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again
    assert first["auroc"].low != other["auroc"].low


def test_resamples_equal_scores_of_repeated_cases() -> None:
    """Resampling by hand, with the generator's own draws of subjects, gives the same bounds."""
    probabilities, labels = make("multiclass", 3, num_cases=30)
    subjects = np.arange(30) // 3
    draws = np.random.default_rng(7).integers(10, size=(50, 10))
    accuracies = []
    for drawn in draws:
        rows = np.concatenate([np.flatnonzero(subjects == subject) for subject in drawn])
        accuracies.append(sk.accuracy_score(labels[rows], probabilities[rows].argmax(axis=1)))
    interval = bootstrap(probabilities, labels, subjects, "multiclass", num_resamples=50, seed=7)["accuracy"]
    assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(accuracies, [0.025, 0.975])))


def test_copies_of_a_case_tell_nothing_new() -> None:
    """With each case 4 times, the interval over subjects stays; one over cases would be half as wide."""
    probabilities, labels = make("binary", 5, num_cases=100)
    copies, fourfold = probabilities.repeat(4, axis=0), labels.repeat(4)
    single = bootstrap(probabilities, labels, np.arange(100), "binary")["accuracy"]
    by_subject = bootstrap(copies, fourfold, np.arange(400) // 4, "binary")["accuracy"]
    by_case = bootstrap(copies, fourfold, np.arange(400), "binary")["accuracy"]
    assert (by_subject.low, by_subject.high) == (single.low, single.high)
    assert by_case.high - by_case.low == pytest.approx((single.high - single.low) / 2, rel=0.15)


def test_resamples_without_a_positive_case_are_left_out_and_counted() -> None:
    """One positive case in n is drawn by a share of 1 - (1 - 1/n)^n of the resamples."""
    num_cases, num_resamples = 20, 4000
    labels = np.eye(num_cases, dtype=np.int64)[0]
    score = np.linspace(0.9, 0.1, num_cases)
    probabilities = np.stack([1 - score, score], axis=1)
    intervals = bootstrap(probabilities, labels, np.arange(num_cases), "binary", num_resamples=num_resamples)
    share = 1 - (1 - 1 / num_cases) ** num_cases
    low, high = stats.binom.interval(1 - 1e-6, num_resamples, share)
    assert low <= intervals["auroc"].num_resamples_used <= high
    assert intervals["accuracy"].num_resamples_used == num_resamples
    assert intervals["auroc"].value == intervals["auroc"].high == 1
    assert intervals["auroc"].low == pytest.approx(0.025), "one positive case tells next to nothing"


def test_perfect_answers_have_the_exact_bounds_of_the_rarest_kind_of_subjects() -> None:
    """Two cases a subject, 12 subjects of class 0, 5 of class 1, 8 of class 2."""
    labels = np.repeat([0, 1, 2], [24, 10, 16])
    found = bootstrap(np.eye(3)[labels], labels, np.arange(50) // 2, "multiclass", num_resamples=50)
    for names, subjects in ((["accuracy"], 25), (["recall", "precision", "f1", "balanced_accuracy", "auroc"], 5)):
        expected = stats.binomtest(subjects, subjects).proportion_ci(method="exact")
        for name in names:
            assert (found[name].low, found[name].high) == (pytest.approx(expected.low), 1.0), name
    assert found["specificity"].low == pytest.approx(stats.binomtest(13, 13).proportion_ci(method="exact").low)
    assert np.isnan([found["average_precision"].low, found["average_precision"].high]).all()


def test_subjects_with_cases_of_both_kinds_make_half_as_many_independent_pairs() -> None:
    labels = np.tile([0, 1], 10)
    found = bootstrap(np.eye(2)[labels], labels, np.arange(20) // 2, "binary", num_resamples=50)
    assert found["auroc"].low == pytest.approx(stats.binomtest(5, 5).proportion_ci(method="exact").low)
    assert found["recall"].low == pytest.approx(stats.binomtest(10, 10).proportion_ci(method="exact").low)


def test_f1_of_nothing_right_is_bounded_by_what_is_there_or_called() -> None:
    """5 positive cases missed and 5 negative ones called: the share of right ones among these 10 is F1 / (2 - F1)."""
    labels, called = np.repeat([1, 0, 0], [5, 5, 10]), np.repeat([0, 1, 0], [5, 5, 10])
    found = bootstrap(np.eye(2)[called], labels, np.arange(20), "binary", num_resamples=50)["f1"]
    share = stats.binomtest(0, 10).proportion_ci(method="exact").high
    assert (found.value, found.low, found.high) == (0, 0, pytest.approx(2 * share / (1 + share)))


def test_of_one_subject_with_a_class_nothing_is_known_of_others() -> None:
    subjects = np.repeat(np.arange(12), 5)
    labels = (subjects == 3).astype(int)
    score = np.random.default_rng(0).random(60)
    found = bootstrap(np.stack([1 - score, score], 1), labels, subjects, "binary", num_resamples=200)
    assert 0 < found["recall"].value < 1
    for name in ("recall", "auroc", "average_precision"):
        assert np.isnan([found[name].low, found[name].high]).all(), name
    assert found["specificity"].low < found["specificity"].value < found["specificity"].high
    assert found["accuracy"].low < found["accuracy"].high


def test_the_recall_of_one_answer_to_all_is_not_known_for_sure() -> None:
    labels = np.arange(40) % 4 // 3  # 10 of 40 are positive
    found = bootstrap(np.tile([0.3, 0.7], (40, 1)), labels, np.arange(40), "binary", num_resamples=50)
    exact = stats.binomtest(10, 10).proportion_ci(method="exact"), stats.binomtest(0, 30).proportion_ci(method="exact")
    assert (found["recall"].low, found["recall"].high) == pytest.approx((exact[0].low, 1.0))
    assert (found["specificity"].low, found["specificity"].high) == pytest.approx((0.0, exact[1].high))
    assert found["auroc"].low == found["auroc"].high == 0.5, "it has no order of cases to be unsure of"


def test_a_score_that_is_never_defined_has_no_bounds() -> None:
    probabilities = np.tile([0.8, 0.2], (10, 1))
    interval = bootstrap(probabilities, np.zeros(10, int), np.arange(10), "binary", num_resamples=20)["auroc"]
    assert interval.num_resamples_used == 0
    assert np.isnan([interval.value, interval.low, interval.high]).all()


def test_accuracy_of_many_cases_has_the_normal_interval() -> None:
    num_cases, right = 4000, 3000
    probabilities = np.tile([0.3, 0.7], (num_cases, 1))
    labels = (np.arange(num_cases) < right).astype(np.int64)
    interval = bootstrap(probabilities, labels, np.arange(num_cases), "binary", num_resamples=4000)["accuracy"]
    share, error = right / num_cases, (0.75 * 0.25 / num_cases) ** 0.5
    # The error of a resampled 2.5 % quantile of a normal distribution, times 4.
    slack = 4 * (0.025 * 0.975 / 4000) ** 0.5 / stats.norm.pdf(1.96) * error
    assert interval.low == pytest.approx(share - 1.96 * error, abs=slack)
    assert interval.high == pytest.approx(share + 1.96 * error, abs=slack)


def draw_scores(generator: np.random.Generator, num_cases: int) -> tuple[Array, Array]:
    """Draw cases whose score is normal around 0, or around 1 for positive ones; thresholded at 1/2."""
    labels = generator.permutation(np.arange(num_cases) % 2)
    score = stats.norm.cdf(generator.normal(size=num_cases) + labels - 0.5)
    return np.stack([1 - score, score], axis=1), labels


@pytest.mark.parametrize("target", ["binary", "ordinal"])
def test_one_subject_has_no_interval(target: str) -> None:
    probabilities, labels = draw_scores(np.random.default_rng(0), 30)
    found = bootstrap(probabilities, labels, np.zeros(30), target, num_resamples=50)
    assert np.isfinite([interval.value for interval in found.values()]).all()
    assert np.isnan([(interval.low, interval.high) for interval in found.values()]).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "truth"),
    [("accuracy", stats.norm.cdf(0.5)), ("auroc", stats.norm.cdf(1 / 2**0.5))],
)
def test_intervals_cover_the_truth_as_often_as_they_say(name: str, truth: float) -> None:
    """The truths are those of two normal distributions one deviation apart (d' = 1).

    A percentile interval falls short of its nominal coverage by the order of 1/n; twice that is granted beside
    the error of the simulation itself.
    """
    num_experiments, num_cases = 400, 150
    generator = np.random.default_rng(0)
    covered = 0
    for seed in range(num_experiments):
        probabilities, labels = draw_scores(generator, num_cases)
        subjects = np.arange(num_cases)
        interval = bootstrap(probabilities, labels, subjects, "binary", num_resamples=400, seed=seed)[name]
        covered += interval.low <= truth <= interval.high
    low, high = stats.binom.interval(0.999, num_experiments, 0.95)
    assert low - num_experiments * 2 / num_cases <= covered <= high


@pytest.mark.slow
def test_only_intervals_over_subjects_cover_the_truth_of_dependent_cases() -> None:
    """Subjects, of 5 cases each, are all right or all wrong; intervals over cases are sqrt(5) too narrow."""
    num_experiments, num_subjects, share = 300, 100, 0.7
    generator = np.random.default_rng(1)
    subjects = np.arange(num_subjects * 5) // 5
    probabilities = np.tile([0.3, 0.7], (len(subjects), 1))

    def coverage(groups: Array, draw: Callable[[], Array]) -> int:
        covered = 0
        for seed in range(num_experiments):
            labels = draw()[subjects].astype(np.int64)
            interval = bootstrap(probabilities, labels, groups, "binary", num_resamples=400, seed=seed)["accuracy"]
            covered += interval.low <= share <= interval.high
        return covered

    def draw() -> Array:
        return generator.random(num_subjects) < share

    low, high = stats.binom.interval(0.999, num_experiments, 0.95)
    assert low - num_experiments * 2 / num_subjects <= coverage(subjects, draw) <= high
    naive = 2 * stats.norm.cdf(1.96 / 5**0.5) - 1
    low, high = stats.binom.interval(0.999, num_experiments, naive)
    assert low - num_experiments * 0.05 <= coverage(np.arange(len(subjects)), draw) <= high + num_experiments * 0.05
