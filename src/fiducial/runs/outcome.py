"""What came out of a run: scores with intervals, predictions by case, pictures, a summary."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from omegaconf import DictConfig

from fiducial.data.module import DataModule
from fiducial.reports.figures import save
from fiducial.reports.summary import show_summary, where_next
from fiducial.runs import folder
from fiducial.runs.pictures import draw
from fiducial.runs.reader import needs_more
from fiducial.runs.results import Results, results_of
from fiducial.tasks.base import Task
from fiducial.tracking.run import Run


@dataclass(frozen=True)
class Outcome:
    """Results of a run's selected checkpoint on the test split.

    Attributes:
        cfg: the run's configuration.
        out: its folder.
        results: what was predicted for the test cases, and how well.
        loss: mean test loss.
        epoch: of the checkpoint, counted from 0, as it is stored; people read it counted from 1.
        objective: of the validation split at that epoch; None where it was not computed.
        pictures: figures by name.
    """

    cfg: DictConfig
    out: Path
    results: Results
    loss: float
    epoch: int
    objective: float | None
    pictures: dict[str, Figure]

    @classmethod
    def of(cls, cfg: DictConfig, out: Path, task: Task, data: DataModule, epoch: int) -> Outcome:
        """Score what a task predicted."""
        results = results_of(task, data, out, seed=cfg.seed)
        pictures = draw(results, data, history=task.history, epoch=epoch, objective=cfg.objective)
        objective = dict(task.history.get(cfg.objective, [])).get(epoch)
        return cls(cfg, out, results, task.test_scores["test/loss"], epoch, objective, pictures)

    @property
    def scores(self) -> dict[str, Any]:
        """Test scores as plain numbers."""
        return {
            "split": self.results.split,
            "select": self.cfg.select,
            "epoch": self.epoch,
            "objective": {"name": self.cfg.objective, "value": self.objective},
            "cases": len(self.results.subject),
            "subjects": len(set(self.results.subject.tolist())),
            "loss": self.loss,
            "scores": {name: asdict(interval) for name, interval in self.results.intervals.items()},
            **self.results.facts,
        }

    def save(self) -> None:
        """Write predictions, pictures and, last, the scores into the run's folder."""
        self.results.write(self.out)
        pictures = self.out / folder.FIGURES
        pictures.mkdir(exist_ok=True)
        for name, figure in self.pictures.items():
            save(figure, pictures / f"{name}.png")
        folder.write_scores(self.out, self.scores)

    def log(self, run: Run) -> None:
        """Send them to the tracker; intervals as metrics of their own, so that the UI can show and sort them."""
        values = {"test/loss": self.loss, "selected_epoch": float(self.epoch)}
        for name, interval in self.results.intervals.items():
            values[f"test/{name}"] = interval.value
            values[f"test/{name}_low"], values[f"test/{name}_high"] = interval.low, interval.high
        run.log_metrics(values, self.cfg.epochs)
        for name in (*self.results.files, folder.SCORES):
            run.log_file(self.out / name)
        for name in self.pictures:
            run.log_file(self.out / folder.FIGURES / f"{name}.png", folder.FIGURES)

    def show(self) -> None:
        """Print the summary."""
        cfg = self.cfg
        how = f"best by {cfg.objective}" if cfg.select == "best" else "the last"
        facts = {
            "run": cfg.name,
            "selected": f"epoch {self.epoch + 1} of {cfg.epochs} ({how})",
            "folder": str(self.out),
        }
        if cfg.data.spec.target == "binary":
            facts["positive"] = f"{cfg.data.spec.classes[1]} (recall, precision, F1 and the curves are of this class)"
        tracked = cfg.tracking.get("uri", "embedded") is not None
        show_summary(facts, self.scores, where_next(self.out, predicts=needs_more(cfg) is None, tracked=tracked))
