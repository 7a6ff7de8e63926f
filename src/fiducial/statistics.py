"""How sure a test score is: weighted scores of a classifier, and bootstrap intervals over subjects. No torch.

The scores are those of `fiducial.metrics`, by the same names and the same rule (a ratio with a zero
denominator is left out of a mean; a mean with nothing left is NaN), with a weight a case.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

NUM_BINS = 15
# Weights are resampled in chunks of about this many numbers (1.6 MB), which stay in the processor's cache.
CHUNK_SIZE = 200_000
# With fewer subjects a 95 % bootstrap interval holds the truth less than 90 times in 100 (docs/guide.md).
FEW_SUBJECTS = 10

# Shares of right answers, of found pixels or of ordered pairs, and means of such shares over classes or cases.
SHARES = (
    *("accuracy", "balanced_accuracy", "recall", "specificity", "precision", "f1", "auroc"),
    *("dice", "iou", "surface_dice", "cldice", "sensitivity"),
)

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Interval:
    """A score, the bounds of its confidence interval (NaN where there is none), and how many resamples gave them."""

    value: float
    low: float
    high: float
    num_resamples_used: int


def scores(
    probabilities: ArrayLike, labels: ArrayLike, target: str, weights: ArrayLike | None = None
) -> dict[str, float]:
    """Return every score by name.

    Args:
        probabilities: `(cases, classes)`; rows sum to 1 (binary: column 1 is the positive class); for
            multilabel, one independent probability a label.
        labels: class numbers `(cases,)`, or 0/1 flags `(cases, classes)` for multilabel.
        target: "binary", "multiclass", "multilabel" or "ordinal".
        weights: a non-negative weight a case, `(cases,)`; all 1 when None.
    """
    scorer = _Scorer(np.asarray(probabilities, np.float64), np.asarray(labels, np.int64), target)
    given = np.ones(scorer.num_cases) if weights is None else np.asarray(weights, np.float64)
    return {name: float(values[0]) for name, values in scorer(given[None]).items()}


def bootstrap(
    probabilities: ArrayLike,
    labels: ArrayLike,
    subjects: ArrayLike,
    target: str,
    *,
    num_resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """Return every score with its percentile bootstrap interval over subjects.

    Subjects are drawn with replacement, and with a subject come all of its cases: cases of one patient are
    not independent, and an interval that takes them for it is too narrow. A resample in which a score is
    undefined (no positive case for AUROC) is left out for that score, and `num_resamples_used` tells. One subject
    has no interval.

    Where all answers are right, or all wrong, every resample gives the same value. A score that is a share then has
    exact bounds (`exact_bounds`): those of as many subjects as the score is about, and of a score about several
    classes those of the class with the fewest subjects. Other scores have no bounds in that case.

    The calibration error's interval is reflected about its value: a resample is one more layer of noise in
    each bin, so the resampled errors lie above the value as the value lies above the truth, and plain
    percentiles may miss both. A classifier that is calibrated to perfection has its true value, 0, on the
    edge of what is possible, and is given a lower bound above 0 more often than it should be.

    Efron and Tibshirani, An Introduction to the Bootstrap, Chapman & Hall 1993, chapter 13; for the reflected
    interval, Davison and Hinkley, Bootstrap Methods and their Application, Cambridge 1997, section 5.2.

    Args:
        probabilities: see `scores`.
        labels: see `scores`.
        subjects: the subject of each case, `(cases,)` of any sortable kind.
        target: see `scores`.
        num_resamples: more give steadier bounds; 2000 fix a 95 % bound to about 6 % of the standard error.
        confidence: coverage that is aimed at, in (0, 1).
        seed: the same seed gives the same bounds.
    """
    resampled = resampled_scores(probabilities, labels, subjects, target, num_resamples=num_resamples, seed=seed)
    num_subjects = len(np.unique(np.asarray(subjects)))
    units = {name: min(counts) for name, counts in about(probabilities, labels, target, subjects).items()}
    intervals = {
        name: percentile_interval(
            value, resampled[name], num_subjects, confidence, units=units[name] if name in SHARES else None
        )
        for name, value in scores(probabilities, labels, target).items()
    }
    if target == "binary":  # of one subject nothing is known of others, though the rest of the cases vary
        alone = [name for name, number in units.items() if number == 1 and intervals[name].value not in (0, 1)]
        intervals |= {name: Interval(intervals[name].value, float("nan"), float("nan"), 0) for name in alone}
    intervals["calibration_error"] = _reflected(intervals["calibration_error"])
    if intervals["f1"].value == 0:  # J of what is there or called would be right: F1 = 2 J / (1 + J)
        jaccard = intervals["f1"].high
        intervals["f1"] = replace(intervals["f1"], high=2 * jaccard / (1 + jaccard))
    return intervals


def resampled_scores(
    probabilities: ArrayLike, labels: ArrayLike, subjects: ArrayLike, target: str, *, num_resamples: int, seed: int
) -> dict[str, Floats]:
    """Return every score in every resample of the subjects, `(resamples,)`; NaN where one is undefined.

    The subjects that are drawn follow from the seed and the table of subjects alone, so that resamples of two
    networks' predictions for the same cases belong together.

    Args:
        probabilities: see `scores`.
        labels: see `scores`.
        subjects: see `bootstrap`.
        target: see `scores`.
        num_resamples: how many.
        seed: of the draws.
    """
    scorer = _Scorer(np.asarray(probabilities, np.float64), np.asarray(labels, np.int64), target)
    _, subject_of_case = np.unique(np.asarray(subjects), return_inverse=True)
    assert subject_of_case.shape == (scorer.num_cases,)
    with threadpool_limits(1, user_api="blas"):  # products this thin take 5 times longer on two threads than on one
        chunks = [scorer(weights) for weights in resampled_weights(subject_of_case, num_resamples, seed)]
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


def resampled_weights(subject_of_case: Integers, num_resamples: int, seed: int) -> Iterator[Floats]:
    """Yield how often each case is drawn, `(resamples, cases)` a chunk.

    Args:
        subject_of_case: number of each case's subject, `(cases,)`, from 0.
        num_resamples: how many in all.
        seed: of the draws, which follow from it and from the number of subjects alone.
    """
    generator = np.random.default_rng(seed)
    num_subjects = int(subject_of_case.max()) + 1
    size = max(1, CHUNK_SIZE // len(subject_of_case))
    for start in range(0, num_resamples, size):
        num = min(size, num_resamples - start)
        draws = generator.integers(num_subjects, size=(num, num_subjects))
        draws += num_subjects * np.arange(num)[:, None]
        counts = np.bincount(draws.ravel(), minlength=num * num_subjects).reshape(num, num_subjects)
        yield counts.astype(np.float64).take(subject_of_case, axis=1)


def predicted_labels(probabilities: Floats, target: str) -> Integers:
    """Return the most probable class of each case, the first on a tie; for multilabel, flags `p > 0.5`."""
    if target == "multilabel":
        return (probabilities > 0.5).astype(np.int64)
    predicted: Integers = probabilities.argmax(axis=1)
    return predicted


def about(probabilities: ArrayLike, labels: ArrayLike, target: str, subjects: ArrayLike) -> dict[str, list[int]]:
    """Return for each score that is about some cases only how many subjects have such cases, class by class.

    Recall, say, is about the cases of a class. A class without such cases is left out; for AUROC, whose pairs are of a
    positive and a negative subject, there is one number for all classes.

    Args:
        probabilities: see `scores`.
        labels: see `scores`.
        target: see `scores`.
        subjects: see `bootstrap`.
    """
    scorer = _Scorer(np.asarray(probabilities, np.float64), np.asarray(labels, np.int64), target)
    return scorer.counts(np.asarray(subjects))


def percentile_interval(
    value: float, resampled: Floats, num_subjects: int, confidence: float, *, units: int | None = None
) -> Interval:
    """Return a score with the bounds between which its resamples lie.

    One subject has no bounds: each resample of it is itself again, which says nothing of others. Neither has a score
    at the end of its range of which no resample differs, unless it is a share.

    Args:
        value: of the score.
        resampled: the score in each resample, `(resamples,)`; NaN where it is undefined.
        num_subjects: that were drawn from.
        confidence: coverage that is aimed at, in (0, 1).
        units: independent subjects that the score is a share of; None where it is no share.
    """
    used = resampled[np.isfinite(resampled)]
    if num_subjects < 2 or len(used) == 0:
        return Interval(value, float("nan"), float("nan"), 0)
    low, high = np.quantile(used, [(1 - confidence) / 2, (1 + confidence) / 2])
    if value in (0, 1) and used.min() == used.max() == value:
        low, high = (float("nan"), float("nan")) if units is None else exact_bounds(value, units, confidence)
    return Interval(value, float(low), float(high), len(used))


def exact_bounds(value: float, units: float, confidence: float) -> tuple[float, float]:
    """Return the bounds of a share that is 1, or 0, in each of some independent units.

    Clopper and Pearson, Biometrika 26, 1934, 404-413. They hold for AUROC, too, whose units are pairs of a positive and
    a negative subject, no subject in two of them: these are independent, and all of them are in order.

    Args:
        value: 0 or 1.
        units: at least 1.
        confidence: coverage that is aimed at, in (0, 1).
    """
    least = float(((1 - confidence) / 2) ** (1 / units))
    return (least, 1.0) if value == 1 else (0.0, 1 - least)


def _reflected(interval: Interval) -> Interval:
    """Return the interval mirrored about its value, cut at 0 and widened to hold the value."""
    value = interval.value
    low, high = max(2 * value - interval.high, 0.0), 2 * value - interval.low
    return replace(interval, low=min(low, value), high=max(high, value))


class _Scorer:
    """All scores of fixed predictions, for many weightings of the cases at once.

    What does not depend on the weights (sorting, who is right, who is in which bin) is done once; a call then
    is a few matrix products and one cumulative sum a class.
    """

    def __init__(self, probabilities: Floats, labels: Integers, target: str) -> None:
        self.num_cases, num_classes = probabilities.shape
        assert self.num_cases > 0
        assert target in ("binary", "multiclass", "multilabel", "ordinal"), target
        assert labels.shape == (probabilities.shape if target == "multilabel" else (self.num_cases,))
        self.target = target
        predicted = predicted_labels(probabilities, target)
        truth, called = (
            flags.astype(bool) if target == "multilabel" else flags[:, None] == np.arange(num_classes)
            for flags in (labels, predicted)
        )
        shown = [1] if target == "binary" else range(num_classes)
        self.curves = [_Ranking(probabilities[:, k], truth[:, k]) for k in shown]
        self.shown = np.asarray(shown)
        self.gaps = _calibration_gaps(probabilities, labels, predicted, target)
        self.hits, self.truth, self.called, self.rejections, self.others = (
            flags.astype(np.float64) for flags in (truth & called, truth, called, ~truth & ~called, ~truth)
        )
        self.errors = np.abs(predicted - labels).astype(np.float64)

    def __call__(self, weights: Floats) -> dict[str, Floats]:
        """Return every score for weights `(weightings, cases)`, each `(weightings,)`."""
        ranking = np.array([curve(weights) for curve in self.curves])
        result = self._count_scores(weights) | {
            "auroc": _mean(ranking[:, 0].T),
            "average_precision": _mean(ranking[:, 1].T),
            "calibration_error": self._calibration_error(weights),
        }
        return result | self._ordinal_scores(weights) if self.target == "ordinal" else result

    def counts(self, subjects: NDArray[Any]) -> dict[str, list[int]]:
        """Return for each score how many subjects have a case that it is about, class by class; see `about`."""

        def of(flags: Floats, shown: Any = slice(None)) -> list[int]:
            counts = [len(np.unique(subjects[column > 0])) for column in flags.T[shown]]
            return [count for count in counts if count] or [1]

        num_subjects = len(np.unique(subjects))
        kinds = of(self.truth, self.shown), of(self.others, self.shown)
        return {
            "accuracy": [num_subjects],
            "balanced_accuracy": of(self.truth) + (of(self.others) if self.target == "multilabel" else []),
            "recall": kinds[0],
            "specificity": kinds[1],
            "average_precision": kinds[0],
            "precision": of(self.called, self.shown),
            "f1": of(np.maximum(self.truth, self.called), self.shown),
            "auroc": [max(1, min(*kinds[0], *kinds[1], num_subjects // 2))],
        }

    def _count_scores(self, weights: Floats) -> dict[str, Floats]:
        total = weights.sum(axis=1)
        hits, positives, called = weights @ self.hits, weights @ self.truth, weights @ self.called
        rejections, negatives = weights @ self.rejections, weights @ self.others
        recall, specificity = _ratio(hits, positives), _ratio(rejections, negatives)
        if self.target == "multilabel":
            accuracy = _ratio((hits + rejections).mean(axis=1), total)
            balanced = (recall + specificity) / 2
        else:
            accuracy, balanced = _ratio(hits.sum(axis=1), total), recall
        return {
            "accuracy": accuracy,
            "balanced_accuracy": _mean(balanced),
            "recall": _mean(recall[:, self.shown]),
            "specificity": _mean(specificity[:, self.shown]),
            "precision": _mean(_ratio(hits, called)[:, self.shown]),
            "f1": _mean(_ratio(2 * hits, positives + called)[:, self.shown]),
        }

    def _calibration_error(self, weights: Floats) -> Floats:
        gaps = np.abs(weights @ self.gaps).reshape(len(weights), -1, NUM_BINS).sum(axis=2)
        return _ratio(gaps.mean(axis=1), weights.sum(axis=1))

    def _ordinal_scores(self, weights: Floats) -> dict[str, Floats]:
        total = weights.sum(axis=1)
        classes = np.arange(self.truth.shape[1])
        distances = (classes[:, None] - classes) ** 2.0
        true, called = weights @ self.truth, weights @ self.called
        by_chance = np.einsum("ri,ij,rj->r", true, distances, called, optimize=True)
        return {
            "quadratic_kappa": 1 - _ratio(weights @ self.errors**2 * total, by_chance),
            "mae": _ratio(weights @ self.errors, total),
        }


class _Ranking:
    """AUROC and average precision of one score against one truth, ties included, for many weightings.

    Both are sums over the positive cases alone: of the share of negative weight that ranks lower (half of
    what ties), and of the precision at the case's score.
    """

    def __init__(self, score: Floats, truth: NDArray[np.bool_]) -> None:
        self.order = np.argsort(-score, kind="stable")
        score, truth = score[self.order], truth[self.order]
        positive = np.flatnonzero(truth)
        self.positive_cases = self.order[positive]
        # Numbers of cases, and of positive cases, that rank above each positive case's tie, and with it.
        self.above = np.searchsorted(-score, -score[positive], side="left")
        self.through = np.searchsorted(-score, -score[positive], side="right")
        num_positive = np.concatenate([[0], np.cumsum(truth)])
        self.positive_above, self.positive_through = num_positive[self.above], num_positive[self.through]

    def __call__(self, weights: Floats) -> tuple[Floats, Floats]:
        """Return AUROC and average precision, each `(weightings,)`; NaN where one is undefined."""
        ranked, own = _cumulative(weights[:, self.order]), weights[:, self.positive_cases]
        positives = _cumulative(own)
        through, positive_through = ranked[:, self.through], positives[:, self.positive_through]
        false_above = ranked[:, self.above] - positives[:, self.positive_above]
        false_through = through - positive_through
        positive = positives[:, -1]
        negative = ranked[:, -1] - positive
        outranked = np.einsum("rp,rp->r", own, negative[:, None] - (false_above + false_through) / 2)
        precision = np.divide(positive_through, through, out=np.zeros_like(through), where=through > 0)
        return (
            _ratio(outranked, positive * negative),
            _ratio(np.einsum("rp,rp->r", own, precision), positive),
        )


def _calibration_gaps(probabilities: Floats, labels: Integers, predicted: Integers, target: str) -> Floats:
    """Return confidence minus outcome in its bin's column, `(cases, bins)`; bins of labels side by side."""
    if target == "multilabel":
        confidences, outcomes = probabilities, labels
    elif target == "binary":
        confidences, outcomes = probabilities[:, 1:], labels[:, None]
    else:
        confidences, outcomes = probabilities.max(axis=1)[:, None], (predicted == labels)[:, None]
    bins = np.minimum((confidences * NUM_BINS).astype(np.int64), NUM_BINS - 1)
    placed = (bins[:, :, None] == np.arange(NUM_BINS)) * (confidences - outcomes)[:, :, None]
    gaps: Floats = placed.reshape(len(probabilities), -1)
    return gaps


def _cumulative(values: Floats) -> Floats:
    """Return cumulative sums along rows, with a leading 0."""
    sums = np.zeros((values.shape[0], values.shape[1] + 1))
    np.cumsum(values, axis=1, out=sums[:, 1:])
    return sums


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Return the quotient, NaN where the denominator is zero."""
    result = np.full_like(denominator, np.nan)
    np.divide(numerator, denominator, out=result, where=denominator > 0)
    return result


def _mean(values: Floats) -> Floats:
    """Return the mean over the last axis of what is not NaN, and NaN where nothing is left."""
    defined = ~np.isnan(values)
    return _ratio(np.where(defined, values, 0).sum(axis=-1), defined.sum(axis=-1).astype(np.float64))


def mean_interval(
    values: ArrayLike, confidence: float = 0.95, limits: tuple[float, float] = (-np.inf, np.inf)
) -> Interval:
    """Return the mean of independent repetitions with Student's interval; a single one has no bounds.

    The interval is of the mean over repetitions, such as seeds: how far another set of them would move it.
    It says nothing of other subjects. It is cut at `limits`, which no value can leave.
    """
    from scipy.special import stdtrit  # scipy.stats takes a second to import

    numbers = np.asarray(values, np.float64)
    value = float(numbers.mean()) if len(numbers) else float("nan")
    if len(numbers) < 2 or not np.isfinite(numbers).all():
        return Interval(value, float("nan"), float("nan"), 0)
    half = float(stdtrit(len(numbers) - 1, (1 + confidence) / 2) * numbers.std(ddof=1) / np.sqrt(len(numbers)))
    return Interval(value, max(value - half, limits[0]), min(value + half, limits[1]), len(numbers))
