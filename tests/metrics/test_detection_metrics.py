"""FROC against MONAI's, average precision against COCO's own code, image AUROC against scikit-learn's, and by hand."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from monai.metrics import compute_froc_curve_data
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from sklearn.metrics import roc_auc_score

from fiducial.metrics.boxes import CaseBoxes, hits
from fiducial.metrics.detection import (
    MEDICAL,
    OVERLAPS,
    RATES,
    DetectionScorer,
    Froc,
    Precision,
    best_threshold,
    called_scores,
)


def some_cases(count: int, classes: int, seed: int, dims: int = 2) -> list[CaseBoxes]:
    """Draw cases: boxes that are there, most of them found about where they are, and false positives; scores tie."""
    draw = np.random.default_rng(seed)
    cases = []
    for _ in range(count):
        there = int(draw.integers(0, 4))
        low = draw.uniform(0, 60, (there, dims))
        truth = np.concatenate([low, low + draw.uniform(6, 20, (there, dims))], axis=1)
        kept = draw.random(there) < 0.8
        near = truth[kept] + draw.normal(0, 1.5, (int(kept.sum()), 2 * dims))
        start = draw.uniform(0, 60, (int(draw.integers(0, 4)), dims))
        false = np.concatenate([start, start + draw.uniform(6, 20, start.shape)], axis=1)
        found = np.concatenate([near, near[:1] + 0.5, false])
        label = draw.integers(0, classes, there)
        called = np.concatenate([label[kept], label[kept][:1], draw.integers(0, classes, len(false))])
        score = np.concatenate([draw.beta(4, 2, len(found) - len(false)), draw.beta(2, 4, len(false))]).round(2)
        cases.append(CaseBoxes(found, score, called.astype(np.int64), truth, label.astype(np.int64)))
    return cases


def by_coco(cases: list[CaseBoxes], classes: int, overlaps: tuple[float, ...]) -> np.ndarray:
    """Return COCO's average precision by overlap and class."""
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for number, case in enumerate(cases):
        for box, label in zip(case.truth, case.true_label, strict=True):
            extent = (box[2:] - box[:2]).tolist()
            annotations.append({"bbox": [*box[:2].tolist(), *extent], "category_id": int(label), "iscrowd": 0})
            annotations[-1] |= {"area": extent[0] * extent[1], "image_id": number, "id": len(annotations)}
        for box, label, score in zip(case.found, case.label, case.score, strict=True):
            extent = (box[2:] - box[:2]).tolist()
            results.append({"bbox": [*box[:2].tolist(), *extent], "category_id": int(label), "score": float(score)})
            results[-1] |= {"image_id": number}
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        images = [{"id": number} for number in range(len(cases))]
        coco.dataset = {"images": images, "annotations": annotations, "categories": [{"id": k} for k in range(classes)]}
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), "bbox")
        evaluation.params.iouThrs = np.array(overlaps)
        evaluation.evaluate()
        evaluation.accumulate()
    precision = np.asarray(evaluation.eval["precision"])[:, :, :, 0, -1]  # overlaps, recalls, classes; all areas
    return np.asarray(precision.mean(axis=1))


@pytest.mark.parametrize("seed", range(4))
def test_average_precision_is_cocos(seed: int) -> None:
    cases = some_cases(40, 2, seed)
    overlaps = (*MEDICAL[:1], *OVERLAPS)
    expected = by_coco(cases, 2, overlaps)
    found = [Precision([case.of(k) for case in cases], overlaps)(np.ones((1, 40)))[0] for k in range(2)]
    np.testing.assert_allclose(np.stack(found, axis=1), expected, atol=1e-9)
    scores = DetectionScorer(cases, ["a", "b"])()
    assert scores["map"][0] == pytest.approx(expected[1:].mean())
    assert scores["map_50"][0] == pytest.approx(expected[1].mean())
    assert scores["map_10"][0] == pytest.approx(expected[0].mean())
    assert 0.1 < scores["map"][0] < 0.9


@pytest.mark.parametrize("rule", ["centre", 0.3])
def test_the_curve_is_monais(rule: Any) -> None:
    cases = some_cases(30, 1, 7)
    best, false = [], []
    for case in cases:
        hit = hits(case, rule)
        best += [
            max((case.score[row] for row in range(len(hit)) if hit[row, box]), default=0.0)
            for box in range(hit.shape[1])
        ]
        false += [case.score[row] for row in range(len(hit)) if not hit[row].any()]
    num_boxes = sum(len(case.truth) for case in cases)
    their_false, their_found = compute_froc_curve_data(np.array(false), np.array(best), num_boxes, 30)
    froc = Froc(cases, rule)
    our_false, our_found = froc.curve()
    # theirs leaves out the lowest score, and has a point at which nothing is called
    ours = {(round(f, 9), round(s, 9)) for f, s in zip(our_false[0], our_found[0], strict=True)}
    theirs = {(round(float(f), 9), round(float(s), 9)) for f, s in zip(their_false, their_found, strict=True)}
    assert len(ours) > 20
    assert ours - {(round(our_false[0, -1], 9), round(our_found[0, -1], 9))} <= theirs
    for rate, reached in zip(RATES, froc.sensitivity()[0], strict=True):
        assert reached == pytest.approx(max(s for f, s in (theirs | ours) if f <= rate + 1e-9))


def test_froc_by_hand() -> None:
    """Two images with three boxes: .9 hits, .8 is false, .7 hits, .6 hits again, .5 is false, a box is missed."""
    box = np.array([[0.0, 0, 10, 10]])
    first = CaseBoxes(
        np.array([[1.0, 1, 9, 9], [50, 50, 60, 60], [0, 0, 9, 9]]),
        np.array([0.9, 0.8, 0.6]),
        np.zeros(3, int),
        box,
        np.zeros(1, int),
    )
    second = CaseBoxes(
        np.array([[0.0, 0, 8, 8], [50, 50, 60, 60]]),
        np.array([0.7, 0.5]),
        np.zeros(2, int),
        np.array([[0.0, 0, 10, 10], [30, 30, 40, 40]]),
        np.zeros(2, int),
    )
    froc = Froc([first, second])
    assert froc.thresholds.tolist() == [0.9, 0.8, 0.7, 0.5]
    false, found = froc.curve()
    assert false[0].tolist() == [0, 0.5, 0.5, 1.0]
    np.testing.assert_allclose(found[0], [1 / 3, 1 / 3, 2 / 3, 2 / 3])
    np.testing.assert_allclose(froc.sensitivity([0.25, 0.5, 8])[0], [1 / 3, 2 / 3, 2 / 3])
    assert froc.threshold(0.25) == 0.9
    assert froc.threshold(0.5) == 0.7
    np.testing.assert_allclose(froc.share_found([0.25, 0.5]), [1, 0.25])
    assert best_threshold([first, second], "centre") == 0.7
    np.testing.assert_allclose(list(called_scores(second, 0.5, "centre").values()), [0.5, 0.5, 0.5, 1])
    np.testing.assert_allclose(list(called_scores(first, 0.55, "centre").values()), [2 / 3, 1, 0.5, 1])
    assert np.isnan(list(called_scores(second, 0.95, "centre").values())).tolist() == [False, False, True, False]


def test_shares_of_cases_weighed_by_boxes_are_the_mean_sensitivity() -> None:
    cases = some_cases(50, 2, 3)
    froc, boxes = Froc(cases), np.array([len(case.truth) for case in cases])
    shares = np.nan_to_num(froc.share_found())
    assert (shares * boxes).sum() / boxes.sum() == pytest.approx(DetectionScorer(cases, ["a", "b"])()["cpm"][0])


def test_image_auroc_is_scikit_learns() -> None:
    cases = some_cases(60, 1, 5)
    top, there = [case.score.max(initial=0.0) for case in cases], [len(case.truth) > 0 for case in cases]
    assert DetectionScorer(cases, ["a"])()["image_auroc"][0] == pytest.approx(roc_auc_score(there, top))


@pytest.mark.parametrize("dims", [2, 3])
def test_a_weight_of_two_is_a_case_twice(dims: int) -> None:
    cases = some_cases(25, 2, 11, dims)
    counts = np.random.default_rng(0).integers(0, 3, 25)
    weighed = DetectionScorer(cases, ["a", "b"])(np.stack([counts, np.ones(25)]).astype(float))
    repeated = DetectionScorer([case for case, n in zip(cases, counts, strict=True) for _ in range(n)], ["a", "b"])()
    plain = DetectionScorer(cases, ["a", "b"])()
    for name, values in weighed.items():
        assert values[0] == pytest.approx(repeated[name][0], abs=1e-9), name
        assert values[1] == pytest.approx(plain[name][0], abs=1e-9), name


def test_perfect_boxes_and_none() -> None:
    drawn = some_cases(30, 1, 1)
    perfect = [CaseBoxes(c.truth, np.full(len(c.truth), 0.9), c.true_label, c.truth, c.true_label) for c in drawn]
    found = DetectionScorer(perfect, ["a"])()
    assert found["cpm"][0] == found["map"][0] == found["image_auroc"][0] == 1
    nothing = [CaseBoxes(c.truth[:0], np.zeros(0), c.true_label[:0], c.truth, c.true_label) for c in perfect]
    silent = DetectionScorer(nothing, ["a"])()
    assert silent["cpm"][0] == silent["map"][0] == 0
    assert silent["image_auroc"][0] == 0.5


def test_without_any_box_scores_are_undefined() -> None:
    empty = [CaseBoxes(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int), np.zeros((0, 4)), np.zeros(0, int))] * 3
    found = DetectionScorer(empty, ["a"])()
    assert all(np.isnan(values[0]) for values in found.values())
    assert best_threshold(empty, "centre") == 0.5
