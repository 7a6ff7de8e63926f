"""Pictures say what an independent computation says."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure
from PIL import Image
from sklearn.metrics import average_precision_score, confusion_matrix, roc_auc_score

from fiducial.reports import figures
from fiducial.reports.figures.style import middle_cut
from fiducial.statistics import bootstrap

CLASSES = {"binary": ("benign", "malignant"), "multiclass": ("a", "b", "c"), "multilabel": ("x", "y", "z")}


def cases(target: str, count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(1)
    size = len(CLASSES[target])
    if target == "multilabel":
        label = draw.integers(0, 2, (count, size))
        return np.clip(0.3 * label + 0.7 * draw.random((count, size)), 0, 1), label
    label = draw.integers(0, size, count)
    raw = draw.random((count, size)) + 0.8 * np.eye(size)[label]
    return raw / raw.sum(axis=1, keepdims=True), label


def texts(figure: Figure) -> str:
    found = [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]
    return "\n".join(found)


@pytest.mark.parametrize("target", ["binary", "multiclass", "multilabel"])
def test_curves_name_the_areas_that_scikit_learn_gives(target: str) -> None:
    probabilities, label = cases(target)
    subjects = np.array([str(number) for number in range(len(label))])
    intervals = bootstrap(probabilities, label, subjects, target, num_resamples=50)
    figure = figures.roc_and_precision_recall(
        probabilities, label, subjects, target, CLASSES[target], intervals=intervals, num_resamples=50
    )
    flags = label if target == "multilabel" else (label[:, None] == np.arange(len(CLASSES[target]))).astype(int)
    shown = texts(figure)
    for number in [1] if target == "binary" else range(flags.shape[1]):
        assert f"{roc_auc_score(flags[:, number], probabilities[:, number]):.3f}" in shown
        assert f"{average_precision_score(flags[:, number], probabilities[:, number]):.3f}" in shown


def test_every_one_of_many_classes_has_its_curve() -> None:
    generator, num_classes = np.random.default_rng(0), 20
    label, probabilities = np.arange(200) % num_classes, generator.dirichlet(np.ones(num_classes), 200)
    subjects, names = np.arange(200), [f"class {number:02d}" for number in range(num_classes)]
    intervals = bootstrap(probabilities, label, subjects, "multiclass", num_resamples=10)
    figure = figures.roc_and_precision_recall(
        probabilities, label, subjects, "multiclass", names, intervals=intervals, num_resamples=10
    )
    assert all(name in texts(figure) for name in names)
    assert len(figure.axes[0].lines) == num_classes + 1  # chance


def test_confusion_matrix_shows_counts_and_row_percentages() -> None:
    _, label = cases("multiclass")
    predicted = np.roll(label, 3)
    counts = confusion_matrix(label, predicted)
    shown = texts(figures.confusion_matrix(counts, CLASSES["multiclass"]))
    for row in counts:
        assert f"n = {row.sum()}" in shown
        for count in row:
            assert re.search(rf"\b{count}\n{round(100 * count / row.sum())}\s?%", shown)


@pytest.mark.parametrize("target", ["binary", "multiclass", "multilabel"])
def test_mistakes_are_ranked_by_the_probability_of_the_truth(target: str) -> None:
    probabilities, label = cases(target)
    worst = figures.rank_mistakes(probabilities, label, target, CLASSES[target], num=100)
    if target == "multilabel":
        of_truth = np.where(label == 1, probabilities, 1 - probabilities).min(axis=1)
    else:
        of_truth = probabilities[np.arange(len(label)), label]
        assert {mistake.row for mistake in worst} == set(np.flatnonzero(probabilities.argmax(axis=1) != label))
    assert [of_truth[mistake.row] for mistake in worst] == sorted(of_truth[mistake.row] for mistake in worst)


def test_an_objective_of_one_class_has_its_curve() -> None:
    history = {
        f"{stage}/{name}": [(0, 0.2), (1, 0.4)] for stage in ("train", "val") for name in ("loss", "dice/lesion")
    }
    drawn = figures.learning_curves(history, selected_epoch=1, objective="val/dice/lesion")
    titles = [axes.get_title("left") for axes in drawn.axes]
    assert len(titles) == 2
    assert "lesion" in titles[1]
    assert len(drawn.axes[1].get_lines()) >= 2


@pytest.mark.parametrize("epochs", [1, 3, 120])
def test_learning_curves_count_epochs_from_one_and_leave_lines_clear(epochs: int) -> None:
    rate = [(epoch, 1e-3 * np.cos(np.pi / 2 * epoch / epochs) ** 4) for epoch in range(epochs)]
    losses = [(epoch, 1 / (1 + epoch)) for epoch in range(epochs)]
    history = {"train/loss": losses, "val/loss": losses, "lr": rate}
    drawn = figures.learning_curves(history, selected_epoch=epochs - 1, objective="val/loss")
    legend = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert legend == ["train", "val", f"selected epoch: {epochs} (objective: loss)"]
    drawn.canvas.draw()
    bottom = min(axes.get_window_extent().y0 for axes in drawn.axes)
    assert drawn.legends[0].get_window_extent().y1 < bottom
    for axes in drawn.axes:
        assert max(np.max(line.get_xdata()) for line in axes.lines) == epochs
        assert min(np.min(line.get_xdata()) for line in axes.lines) == 1
        low, high = axes.get_ylim()
        assert 1 <= sum(low <= tick <= high for tick in axes.get_yticks()) <= 6
        assert not [text for text in axes.texts if text.get_text()]


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 8), (1, 5, 8, 8)])
def test_montage_and_the_rest_are_drawn_without_global_state(tmp_path: Path, shape: tuple[int, ...]) -> None:
    probabilities, label = cases("binary")
    worst = figures.rank_mistakes(probabilities, label, "binary", CLASSES["binary"], num=4)
    images = [np.full(shape, 40 * number, np.uint8) for number in range(len(worst))]
    names = [f"case{mistake.row}" for mistake in worst]
    intervals = bootstrap(probabilities, label, np.arange(len(label)).astype(str), "binary", num_resamples=20)
    history = {"train/loss": [(0, 1.0), (1, 0.5)], "val/loss": [(0, 1.1), (1, 0.9)], "val/auroc": [(0, 0.5), (1, 0.7)]}
    drawn = {
        "mistakes": figures.worst_mistakes(images, worst, names, num_cases=len(label)),
        "none": figures.worst_mistakes([], [], [], num_cases=len(label)),
        "curves": figures.learning_curves(history, selected_epoch=1),
        "reliability": figures.reliability(probabilities, label, "binary", CLASSES["binary"], intervals=intervals),
    }
    assert all(name in texts(drawn["mistakes"]) for name in names)
    assert f"{intervals['calibration_error'].value:.3f}" in texts(drawn["reliability"])
    for name, figure in drawn.items():
        figures.save(figure, tmp_path / f"{name}.png")
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert min(picture.size) > 50
    assert pyplot.get_fignums() == []


def test_of_a_long_name_the_end_is_kept() -> None:
    path = "/tmp/trialwork/dä ta/fold er/patient_0042_left.png"
    cut = middle_cut(path, 30)
    assert len(cut) == 30
    assert cut.endswith("_0042_left.png")
    assert middle_cut("patient.png", 30) == "patient.png"
