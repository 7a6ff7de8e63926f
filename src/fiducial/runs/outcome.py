"""What came out of a run: scores with intervals, predictions by case, pictures, a summary."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from omegaconf import DictConfig

from fiducial.data.module import DataModule
from fiducial.reports.figures import save
from fiducial.reports.predictions import Predictions, write_predictions
from fiducial.reports.summary import show_summary, where_next
from fiducial.runs import folder
from fiducial.runs.pictures import draw
from fiducial.statistics import Interval, bootstrap, predicted_labels
from fiducial.tasks.base import Task
from fiducial.tracking.run import Run


@dataclass(frozen=True)
class Outcome:
    """Results of a run's selected checkpoint on the test split.

    Attributes:
        cfg: the run's configuration.
        out: its folder.
        predictions: for each test case.
        intervals: test scores with bootstrap intervals over subjects.
        loss: mean test loss.
        epoch: of the checkpoint, counted from 0.
        pictures: figures by name.
    """

    cfg: DictConfig
    out: Path
    predictions: Predictions
    intervals: dict[str, Interval]
    loss: float
    epoch: int
    pictures: dict[str, Figure]

    @classmethod
    def of(cls, cfg: DictConfig, out: Path, task: Task, data: DataModule, epoch: int) -> Outcome:
        """Score what a task predicted."""
        predictions = tabulate(task, data)
        target = cfg.data.spec.target
        assert predictions.label is not None
        intervals = bootstrap(predictions.probabilities, predictions.label, predictions.subject, target, seed=cfg.seed)
        pictures = draw(predictions, intervals, data, history=task.history, epoch=epoch, objective=cfg.objective)
        return cls(cfg, out, predictions, intervals, task.test_scores["test/loss"], epoch, pictures)

    @property
    def scores(self) -> dict[str, Any]:
        """Test scores as plain numbers."""
        return {
            "split": str(self.predictions.split[0]),
            "select": self.cfg.select,
            "epoch": self.epoch,
            "cases": len(self.predictions),
            "subjects": len(set(self.predictions.subject.tolist())),
            "loss": self.loss,
            "scores": {name: asdict(interval) for name, interval in self.intervals.items()},
        }

    def save(self) -> None:
        """Write predictions, pictures and, last, the scores into the run's folder."""
        write_predictions(self.out / folder.PREDICTIONS, self.predictions)
        pictures = self.out / folder.FIGURES
        pictures.mkdir(exist_ok=True)
        for name, figure in self.pictures.items():
            save(figure, pictures / f"{name}.png")
        aside = self.out / f"{folder.SCORES}.part"
        aside.write_text(json.dumps(self.scores, indent=1))
        os.replace(aside, self.out / folder.SCORES)

    def log(self, run: Run) -> None:
        """Send them to the tracker; intervals as metrics of their own, so that the UI can show and sort them."""
        values = {"test/loss": self.loss, "selected_epoch": float(self.epoch)}
        for name, interval in self.intervals.items():
            values[f"test/{name}"] = interval.value
            values[f"test/{name}_low"], values[f"test/{name}_high"] = interval.low, interval.high
        run.log_metrics(values, self.cfg.epochs)
        run.log_file(self.out / folder.PREDICTIONS)
        run.log_file(self.out / folder.SCORES)
        for name in self.pictures:
            run.log_file(self.out / folder.FIGURES / f"{name}.png", folder.FIGURES)

    def show(self) -> None:
        """Print the summary."""
        cfg = self.cfg
        facts = {
            "run": cfg.name,
            "selected": f"epoch {self.epoch} ({cfg.select} by {cfg.objective}), counted from 0, of {cfg.epochs}",
            "folder": str(self.out),
        }
        show_summary(facts, self.scores, where_next(self.out))


def tabulate(task: Task, data: DataModule) -> Predictions:
    """Return the table of what a task predicted for the test cases."""
    rows = task.predictions["row"].numpy()
    probabilities = task.predictions["probabilities"].double().numpy()
    cases = data.cases
    return Predictions(
        case=cases.case[rows],
        subject=cases.subject[rows],
        split=cases.split[rows],
        probabilities=probabilities,
        predicted=predicted_labels(probabilities, data.spec.target),
        label=cases.label[rows],
    )
