"""Pictures of a search say what was computed by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from PIL import Image

from fiducial.reports.figures import save
from fiducial.reports.figures.parallel import parallel_coordinates
from fiducial.reports.figures.search import Axis, Objective, Trial, history, importance, pareto_front
from fiducial.reports.figures.style import VERMILLION

AXES = [Axis("lr", log=True), Axis("dropout"), Axis("model", choices=("lenet", "resnet18"))]
LOSS, SCORE, SIZE = Objective("val/loss", True), Objective("val/auroc", False), Objective("parameters", True)


def trial(number: int, *values: float, state: str = "done", lr: float = 1e-3, model: str = "lenet") -> Trial:
    return Trial(number, state, values, {"lr": lr, "dropout": 0.1 * number, "model": model})  # type: ignore[arg-type]


def texts(figure: Figure) -> str:
    found = [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]
    return "\n".join(found)


@pytest.mark.parametrize(
    ("objective", "expected", "winner"),
    [(LOSS, [0.7, 0.7, 0.4, 0.4, 0.4], 2), (SCORE, [0.7, 0.8, 0.8, 0.8, 0.8], 1)],
)
def test_history_shows_the_best_so_far(objective: Objective, expected: list[float], winner: int) -> None:
    trials = [trial(number, value) for number, value in enumerate([0.7, 0.8, 0.4, 0.5, 0.45])]
    trials += [trial(5, 0.6, state="pruned"), trial(6, state="failed"), trial(7, state="pruned")]
    figure = history(trials, [objective])
    (line,) = [line for line in figure.axes[0].lines if line.get_label() == "best so far"]
    assert list(np.asarray(line.get_ydata())) == expected
    shown = texts(figure)
    assert f"trial {winner}" in shown
    assert all(text in shown for text in ("done: 5", "pruned: 1", "failed: 1"))


def test_a_diverged_trial_does_not_flatten_the_rest() -> None:
    values = [0.5, 0.52, 0.55, 0.6, 0.58, 900.0]
    figure = history([trial(number, value) for number, value in enumerate(values)], [LOSS])
    low, high = figure.axes[0].get_ylim()
    assert low < 0.5
    assert 0.6 < high < 1
    assert "far off, not shown: 1" in texts(figure)


def test_importance_writes_each_share() -> None:
    figure = importance({"val/loss": {"lr": 0.756, "dropout": 0.244}}, 12)
    figure.draw_without_rendering()
    shown = texts(figure)
    assert all(text in shown for text in ("76 %", "24 %", "lr", "dropout", "val/loss (12 trials)"))


def test_parallel_coordinates_put_values_where_they_belong() -> None:
    trials = [trial(0, 0.9, lr=1e-4), trial(1, 0.2, lr=1e-3, model="resnet18"), trial(2, 0.6, lr=1e-2)]
    trials += [trial(3, 0.1, state="pruned")]
    panel = parallel_coordinates(trials, AXES, LOSS).axes[0]
    lines = [line for line in panel.lines if len(np.asarray(line.get_xdata())) == len(AXES) + 1]
    assert len(lines) == 3
    (best,) = [line for line in lines if to_rgba(line.get_color()) == to_rgba(VERMILLION)]
    assert best.get_label() == "best: trial 1"
    lr, dropout, model, loss = np.asarray(best.get_ydata(), float)
    assert lr == pytest.approx(0.5)  # half-way from 1e-4 to 1e-2, as logarithms go
    assert dropout == pytest.approx(0.5)
    assert model == pytest.approx(1, abs=0.02)
    assert loss == pytest.approx(0)


def test_pareto_front_is_drawn_in_order() -> None:
    trials = [trial(0, 0.9, 5000), trial(1, 0.5, 10), trial(2, 0.7, 90), trial(3, 0.6, 4000)]
    figure = pareto_front(trials, [0, 1, 2], [SCORE, SIZE])
    axes = figure.axes[0]
    front = next(line for line in axes.lines if str(line.get_label()).startswith("beaten by none"))
    assert list(np.asarray(front.get_xdata())) == [0.5, 0.7, 0.9]
    assert list(np.asarray(front.get_ydata())) == [10, 90, 5000]
    assert axes.get_yscale() == "log"
    assert axes.get_xscale() == "linear"


def test_pictures_are_drawn_without_global_state(tmp_path: Path) -> None:
    constant = [trial(number, 0.5, 3.0) for number in range(3)]
    drawn = {
        "history": history(constant, [SCORE, SIZE]),
        "importance": importance({"val/auroc": {"lr": 0.0}, "parameters": {"lr": 1.0}}, 3),
        "parallel": parallel_coordinates(constant, AXES, SCORE),
        "pareto": pareto_front(constant, [0, 1, 2], [SCORE, SIZE, LOSS][:2]),
    }
    for name, figure in drawn.items():
        save(figure, tmp_path / f"{name}.png")
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert min(picture.size) > 100
    assert pyplot.get_fignums() == []
