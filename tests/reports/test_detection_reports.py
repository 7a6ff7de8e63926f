"""Boxes as JSON, their scores with intervals, and their pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy import stats

from fiducial.data.boxes import Boxes, Frame
from fiducial.metrics.boxes import CaseBoxes
from fiducial.metrics.detection import RATES, DetectionScorer, Froc
from fiducial.reports.detection_scores import detection_intervals, scored_cases
from fiducial.reports.detections import CaseDetections, write_detections
from fiducial.reports.figures import save
from fiducial.reports.figures.activation import ActivationView, activation_maps
from fiducial.reports.figures.box_overlay import FOUND, TRUTH, BoxView, boxes
from fiducial.reports.figures.froc import froc
from fiducial.statistics import Interval

SOME = Interval(0.8, 0.7, 0.9, 100)


def some_cases(count: int) -> list[CaseBoxes]:
    draw, cases = np.random.default_rng(0), []
    for _ in range(count):
        low = draw.uniform(0, 40, (int(draw.integers(0, 3)), 2))
        truth = np.concatenate([low, low + 10], axis=1)
        false = np.add(draw.uniform(0, 20, (2, 1)), [[0, 0, 8, 8]])
        found = np.concatenate([truth[: int(draw.integers(0, 3))], false])
        zeros = np.zeros(len(found), np.int64), np.zeros(len(truth), np.int64)
        cases.append(CaseBoxes(found, draw.random(len(found)), zeros[0], truth, zeros[1]))
    return cases


def written(tmp_path: Path, case: CaseDetections, dims: int) -> dict[str, Any]:
    write_detections(tmp_path / "a.json", [case, case], classes=["nodule", "mass"], threshold=0.5, dims=dims)
    content: dict[str, Any] = json.loads((tmp_path / "a.json").read_text())
    assert len(content["cases"]) == 2
    return content


def test_boxes_of_a_picture_as_json(tmp_path: Path) -> None:
    found, truth = Boxes.of([[1, 2, 5.25, 7]], [1], 2), Boxes.of([], [], 2)
    frame = Frame((1, 1), (0, 0))
    content = written(
        tmp_path, CaseDetections("a.png", (40, 50), frame, found, np.array([0.75]), truth, "p", "test"), 2
    )
    assert content["box"] == ["x_min", "y_min", "x_max", "y_max"]
    assert content["cases"][0] == {
        "case": "a.png",
        "subject": "p",
        "split": "test",
        "size": [50, 40],
        "found": [{"label": "mass", "score": 0.75, "pixels": [2, 1, 7, 5.25]}],
        "truth": [],
    }


def test_boxes_of_a_volume_have_mm(tmp_path: Path) -> None:
    affine = np.array([[0, 0, -2.0, 9], [0, 1, 0, 0], [3, 0, 0, 0], [0, 0, 0, 1]])
    found = Boxes.of([[1, 2, 3, 2, 4, 5]], [0], 3)
    case = CaseDetections("a", (8, 8, 8), Frame((1, 1, 1), (0, 0, 0), affine), found, np.array([0.1]))
    (box,) = written(tmp_path, case, 3)["cases"][0]["found"]
    assert box["pixels"] == [3, 2, 1, 5, 4, 2]
    assert box["mm"] == [9 - 2 * 4.5, 1.5, 1.5, 9 - 2 * 2.5, 3.5, 4.5]
    assert "truth" not in written(tmp_path, case, 3)["cases"][0]


@pytest.mark.slow
def test_intervals_are_those_of_drawn_subjects() -> None:
    """Against resamples that are drawn and scored one by one, cases copied instead of weighed."""
    cases = some_cases(24)
    subjects = np.array([f"s{number // 2}" for number in range(24)])
    found = detection_intervals(cases, subjects, ["a"], "centre", num_resamples=400, seed=3)
    draw, values = np.random.default_rng(0), []
    for _ in range(400):
        rows = [row for subject in draw.integers(0, 12, 12) for row in (2 * subject, 2 * subject + 1)]
        values.append(DetectionScorer([cases[row] for row in rows], ["a"])()["cpm"][0])
    low, high = np.quantile(values, [0.025, 0.975])
    assert found["cpm"].value == pytest.approx(DetectionScorer(cases, ["a"])()["cpm"][0])
    assert found["cpm"].low == pytest.approx(low, abs=0.05)
    assert found["cpm"].high == pytest.approx(high, abs=0.05)


def test_boxes_that_are_all_found_have_the_exact_interval_of_their_subjects() -> None:
    """Of 12 subjects with two images each, 8 have boxes."""
    box, none = np.array([[2.0, 2.0, 8.0, 8.0]]), np.zeros((0, 4))
    kinds = [(box, np.array([0.9])) if number < 16 else (none, np.zeros(0)) for number in range(24)]
    cases = [CaseBoxes(b, score, np.zeros(len(b), np.int64), b, np.zeros(len(b), np.int64)) for b, score in kinds]
    found = detection_intervals(cases, np.arange(24) // 2, ["a"], "centre", num_resamples=50)
    for name, subjects in (("cpm", 8), ("sensitivity_at_1", 8), ("image_auroc", 4)):
        exact = stats.binomtest(subjects, subjects).proportion_ci(method="exact")
        assert (found[name].low, found[name].high) == (pytest.approx(exact.low), 1.0), name
    assert np.isnan([found["map"].low, found["map"].high]).all()


def test_one_subject_has_no_interval() -> None:
    found = detection_intervals(some_cases(24), np.full(24, "s"), ["a"], "centre", num_resamples=20)
    assert np.isfinite(found["cpm"].value)
    assert all(np.isnan([one.low, one.high]).all() for one in found.values())


def test_scores_of_cases() -> None:
    cases = some_cases(10)
    names = np.array([str(number) for number in range(10)])
    table = scored_cases(cases, (names, names, names), 0.4, "centre")
    assert list(table.scores) == ["sensitivity", "f1", "recall", "precision", "false_positives"]
    without = np.array([not len(case.truth) for case in cases])
    assert without.any()
    np.testing.assert_array_equal(np.isnan(table.scores["sensitivity"]), without)


def test_rectangles_are_where_pixels_are() -> None:
    """A pixel's middle is a whole number in a picture, its edge a half."""
    box, found = np.array([[2, 3, 6, 9]], np.float32), np.array([[1, 1, 4, 4]], np.float32)
    figure = boxes([BoxView("best", np.zeros((12, 16), np.uint8), box, found, ["0.75"])])
    plain, drawn = figure.axes
    assert not plain.patches
    first, second = (patch for patch in drawn.patches if isinstance(patch, Rectangle))
    assert (*first.get_xy(), first.get_width(), first.get_height()) == (2.5, 1.5, 6, 4)
    assert (to_hex(first.get_edgecolor()), to_hex(second.get_edgecolor())) == (TRUTH.lower(), FOUND.lower())
    assert "0.75" in {text.get_text() for text in drawn.texts}


def test_the_curve_passes_through_the_points_that_are_told(tmp_path: Path) -> None:
    cases = some_cases(30)
    curve, told = Froc(cases), Froc(cases).sensitivity()[0]
    intervals = {
        f"sensitivity_at_{rate:g}": Interval(float(v), 0.1, 0.9, 9) for rate, v in zip(RATES, told, strict=True)
    }
    false, found = curve.curve()
    figure = froc({"lesion": (false[0], found[0])}, {**intervals, "cpm": SOME}, RATES, "near")
    assert isinstance(figure, Figure)
    axes = figure.axes[0]
    line = next(line for line in axes.lines if line.get_drawstyle() == "steps-post")
    x, y = (np.asarray(values, float) for values in line.get_data())
    for rate, value in zip(RATES, told, strict=True):
        assert y[np.searchsorted(x, rate + 1e-9, side="right") - 1] == pytest.approx(value)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1/8", "1/4", "1/2", "1", "2", "4", "8"]
    save(figure, tmp_path / "froc.png")
    assert (tmp_path / "froc.png").stat().st_size > 1000


def test_maps_are_as_transparent_as_they_are_low(tmp_path: Path) -> None:
    values = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    truth = np.array([[0, 1, 2, 3]], np.float32)
    figure = activation_maps([ActivationView(str(n), np.zeros((3, 4), np.uint8), values, truth) for n in range(4)])
    shown = figure.axes[0].images[1]
    np.testing.assert_allclose(np.asarray(shown.get_alpha()), 0.75 * values)
    (patch,) = figure.axes[0].patches
    assert isinstance(patch, Rectangle)
    assert (*patch.get_xy(), patch.get_width(), patch.get_height()) == (0.5, -0.5, 2, 2)
    save(figure, tmp_path / "a.png")
