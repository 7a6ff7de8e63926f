"""Scores of boxes over all cases together: FROC, average precision, AUROC of images; with a weight a case.

What is done once (who hits what, sorting) does not depend on the weights, so that resamples of the cases are cheap.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fiducial.metrics.boxes import CaseBoxes, Flags, Floats, Hit, assigned, hits

RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # false positives an image at which LUNA16 takes the sensitivity
OVERLAPS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))  # COCO's
MEDICAL = (0.1, 0.5)  # overlaps that medical works use
RECALLS = np.linspace(0, 1, 101)  # at which COCO reads the precision
NAN = float("nan")


class Froc:
    """Free-response ROC: the share of boxes that are found against the number of false positives an image.

    A box is found with the score of the surest one that hits it. What hits a box a second time counts for nothing, as
    in LUNA16 (Setio et al., Medical Image Analysis 42, 2017); what hits none is a false positive.

    Args:
        cases: of boxes.
        rule: what hits, see `hits`.
    """

    def __init__(self, cases: Sequence[CaseBoxes], rule: Hit = "centre") -> None:
        self.num_cases = len(cases)
        best: list[Floats] = []
        false: list[Floats] = []
        for case in cases:
            hit = hits(case, rule)
            best.append(np.where(hit, case.score[:, None], -np.inf).max(axis=0, initial=-np.inf))
            false.append(case.score[~hit.any(axis=1)])
        self.best, self.false = np.concatenate(best), np.concatenate(false)
        self.case_of_box = np.repeat(np.arange(len(cases)), [len(scores) for scores in best])
        self.case_of_false = np.repeat(np.arange(len(cases)), [len(scores) for scores in false])

    @cached_property
    def thresholds(self) -> Floats:
        """Every score that changes something, the highest first."""
        return np.unique(np.concatenate([self.best[np.isfinite(self.best)], self.false]))[::-1]

    def counts(self, scores: Floats, case_of: NDArray[np.intp], weights: Floats) -> Floats:
        """Return the weight of scores at or above each threshold, `(weightings, thresholds)`."""
        order = np.argsort(-scores, kind="stable")
        sums = np.cumsum(weights[:, case_of[order]], axis=1)
        sums = np.concatenate([np.zeros((len(weights), 1)), sums], axis=1)
        through = np.searchsorted(-scores[order], -self.thresholds, side="right")
        counts: Floats = sums[:, through]
        return counts

    def curve(self, weights: Floats | None = None) -> tuple[Floats, Floats]:
        """Return false positives an image and sensitivity at each threshold, `(weightings, thresholds)`."""
        given = np.ones((1, self.num_cases)) if weights is None else weights
        false = self.counts(self.false, self.case_of_false, given) / given.sum(axis=1, keepdims=True)
        there = given[:, self.case_of_box].sum(axis=1, keepdims=True)
        found = self.counts(self.best, self.case_of_box, given)
        return false, np.divide(found, there, out=np.full_like(found, np.nan), where=there > 0)

    def sensitivity(self, rates: Sequence[float] = RATES, weights: Floats | None = None) -> Floats:
        """Return the sensitivity at the lowest threshold that leaves at most so many false positives an image.

        The operating points are those that were reached; LUNA16's script draws straight lines between them, which gives
        the same or slightly more.

        Returns:
            `(weightings, rates)`; NaN where there is no box.
        """
        false, found = self.curve(weights)
        there = (np.ones((1, self.num_cases)) if weights is None else weights)[:, self.case_of_box].sum(axis=1)
        start = np.where(there > 0, 0.0, np.nan)[:, None]
        found = np.concatenate([start, found], axis=1)
        reached = np.stack([(false <= rate + 1e-9).sum(axis=1) for rate in rates], axis=1)
        sensitivity: Floats = np.take_along_axis(found, reached, axis=1)
        return sensitivity

    def threshold(self, rate: float) -> float:
        """Return the lowest score that leaves at most so many false positives an image; infinite where none does."""
        false, _ = self.curve()
        reached = int((false[0] <= rate + 1e-9).sum())
        return float(self.thresholds[reached - 1]) if reached else float("inf")

    def share_found(self, rates: Sequence[float] = RATES) -> Floats:
        """Return for each case the mean over rates of the share of its boxes that are found there, NaN without boxes.

        The thresholds are those of all cases together; weighed by its boxes, the mean over cases is that of
        `sensitivity`.
        """
        found = np.mean([self.best >= self.threshold(rate) for rate in rates], axis=0) if len(self.best) else self.best
        total = np.bincount(self.case_of_box, found, self.num_cases)
        boxes = np.bincount(self.case_of_box, minlength=self.num_cases).astype(np.float64)
        share: Floats = np.divide(total, boxes, out=np.full(self.num_cases, np.nan), where=boxes > 0)
        return share


class Precision:
    """Average precision of one class at several overlaps, as COCO computes it (101 recalls).

    Lin et al., Microsoft COCO, ECCV 2014, and its evaluation code; here in 2D and 3D, without areas to ignore.

    Args:
        cases: of boxes of one class.
        overlaps: intersection over union from which a box is found.
        most: boxes of a case that count, the surest.
    """

    def __init__(self, cases: Sequence[CaseBoxes], overlaps: Sequence[float], most: int = 100) -> None:
        results = [assigned(case, overlaps) for case in cases]
        score = np.concatenate([case.score[rows][:most] for case, (rows, _) in zip(cases, results, strict=True)])
        right = np.concatenate([flags[:, :most] for _, flags in results], axis=1)
        case_of = np.repeat(np.arange(len(cases)), [min(most, len(rows)) for rows, _ in results])
        order = np.argsort(-score, kind="stable")
        self.right, self.case_of = right[:, order], case_of[order]
        self.boxes = np.array([len(case.truth) for case in cases], np.float64)

    def __call__(self, weights: Floats) -> Floats:
        """Return the average precision, `(weightings, overlaps)`; NaN where there is no box."""
        own, there = weights[:, self.case_of], weights @ self.boxes
        called = np.cumsum(own, axis=1)
        return np.stack([self._average(flags, own, called, there) for flags in self.right], axis=1)

    def _average(self, right: Flags, own: Floats, called: Floats, there: Floats) -> Floats:
        found = np.cumsum(own * right, axis=1)
        precision = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
        envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        envelope = np.concatenate([envelope, np.zeros((len(envelope), 1))], axis=1)
        result = np.full(len(own), np.nan)
        for row in np.flatnonzero(there > 0):
            places = np.searchsorted(found[row] / there[row], RECALLS, side="left")
            result[row] = envelope[row, places].mean()
        return result


class DetectionScorer:
    """All scores of fixed boxes, for many weightings of the cases at once.

    Args:
        cases: of boxes.
        classes: names of the kinds of objects, for scores of each where there are several.
        rule: what hits, for FROC.
    """

    def __init__(self, cases: Sequence[CaseBoxes], classes: Sequence[str], rule: Hit = "centre") -> None:
        self.cases, self.classes = cases, tuple(classes)
        several = len(self.classes) > 1
        by_class = [[case.of(number) for case in cases] for number in range(len(classes))]
        self.froc = Froc(cases, rule)
        self.froc_of = {name: Froc(each, rule) for name, each in zip(classes, by_class, strict=True)} if several else {}
        self.precision = [Precision(each, (*OVERLAPS, MEDICAL[0])) for each in by_class]

    def __call__(self, weights: Floats | None = None) -> dict[str, Floats]:
        """Return every score for weights `(weightings, cases)`, each `(weightings,)`; NaN where one is undefined."""
        given = np.ones((1, len(self.cases))) if weights is None else weights
        found = self.froc.sensitivity(RATES, given)
        precision = np.stack([each(given) for each in self.precision], axis=2)  # (weightings, overlaps, classes)
        mean = _mean(precision)
        scores = {"cpm": found.mean(axis=1), "map": mean[:, : len(OVERLAPS)].mean(axis=1)}
        scores |= {"map_50": mean[:, 0], "map_10": mean[:, -1], "image_auroc": self._image_auroc(given)}
        scores |= {f"sensitivity_at_{rate:g}": found[:, number] for number, rate in enumerate(RATES)}
        for number, (name, froc) in enumerate(self.froc_of.items()):
            scores[f"cpm/{name}"] = froc.sensitivity(RATES, given).mean(axis=1)
            scores[f"ap_50/{name}"] = precision[:, 0, number]
        return scores

    def _image_auroc(self, weights: Floats) -> Floats:
        """Return how well an image's surest box tells whether there is any: ties count half, no box scores 0."""
        score = np.array([case.score.max(initial=0.0) for case in self.cases])
        positive = np.array([len(case.truth) > 0 for case in self.cases])
        order = np.argsort(score, kind="stable")
        ranked, values = score[order], weights[:, order]
        misses = np.concatenate([np.zeros((len(weights), 1)), np.cumsum(values * ~positive[order], axis=1)], axis=1)
        below, through = (misses[:, np.searchsorted(ranked, ranked, side=side)] for side in ("left", "right"))
        area = (values * positive[order] * (below + through) / 2).sum(axis=1)
        pairs = (weights @ positive) * (weights @ ~positive)
        result: Floats = np.divide(area, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)
        return result


def called_scores(case: CaseBoxes, threshold: float, rule: Hit) -> dict[str, float]:
    """Return the scores of one case from the boxes that have at least some score.

    A box that is there counts once; `false_positives` hit none. Recall is undefined without a box that is there,
    precision without one that was found, F1 without either.
    """
    hit = hits(case.above(threshold), rule)
    right, found, there = int(hit.any(axis=0).sum()), int(hit.any(axis=1).sum()), hit.shape[1]
    false = hit.shape[0] - found
    called = right + false
    return {
        "f1": 2 * right / (called + there) if called + there else NAN,
        "recall": right / there if there else NAN,
        "precision": right / called if called else NAN,
        "false_positives": float(false),
    }


def best_threshold(cases: Sequence[CaseBoxes], rule: Hit) -> float:
    """Return the score from which boxes are best called: by the F1 over all cases together, the lower of equals."""
    froc = Froc(cases, rule)
    if not len(froc.thresholds):
        return 0.5
    ones = np.ones((1, froc.num_cases))
    right = froc.counts(froc.best, froc.case_of_box, ones)[0]
    false = froc.counts(froc.false, froc.case_of_false, ones)[0]
    f1 = 2 * right / (right + false + len(froc.best))
    return float(froc.thresholds[len(f1) - 1 - int(f1[::-1].argmax())])


def _mean(values: Floats) -> Floats:
    """Return the mean over the last axis of what is defined, NaN where nothing is."""
    defined = ~np.isnan(values)
    count = defined.sum(axis=-1)
    total = np.where(defined, values, 0).sum(axis=-1)
    result: Floats = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return result
