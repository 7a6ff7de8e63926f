import subprocess
import sys

import pytest

import forked
from fiducial.tracking import NullRun, Tracker, track
from fiducial.tracking.journal import History, read

JOB = """
import sys, time, warnings
from pathlib import Path
import torch, pytorch_lightning as pl
torch.set_num_threads(1)
from fiducial.tracking import Tracker, track
from fiducial.tracking.lightning_logger import TrackingLogger

class Model(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
    def training_step(self, batch, index):
        if self.global_step == 3:
            print("ready", flush=True)
        if self.global_step >= 3:
            time.sleep(0.02)
        loss = self.layer(batch).square().mean()
        self.log("train/loss", loss)
        return loss
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.01)

tracker = Tracker(outputs=sys.argv[1], uri=None, system_metrics_seconds=0)
loader = torch.utils.data.DataLoader(torch.ones(8, 1), batch_size=1)
with track(Path(sys.argv[1]) / "a", tracker, name="a", experiment="test") as run:
    trainer = pl.Trainer(max_epochs=2 if sys.argv[2] == "end" else 10_000, logger=TrackingLogger(run),
                         accelerator="cpu", log_every_n_steps=1, enable_progress_bar=False,
                         enable_checkpointing=False, enable_model_summary=False)
    trainer.fit(Model(), loader)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "code", "status"),
    [
        ("end", 0, "FINISHED"),
        ("SIGTERM", 143, "KILLED"),
        ("SIGINT", -2, "KILLED"),
        ("SIGKILL", -9, "RUNNING"),
    ],
)
def test_status_of_a_fit_that_is_stopped(tmp_path, how, code, status):
    import signal

    process = forked.Popen(
        [sys.executable, "-c", JOB, str(tmp_path), how],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while (line := process.stdout.readline()) not in ("ready\n", ""):
        pass
    if how != "end":
        assert line == "ready\n", process.stderr.read()
        process.send_signal(getattr(signal, how))
    stderr = process.communicate(timeout=300)[1]
    assert process.returncode == code, stderr
    history = History.of(tmp_path / "a" / "tracking" / "journal.jsonl")
    assert history.status == status
    if how == "end":
        assert history.last_steps == {"train/loss": 15, "epoch": 15}


def test_metrics_are_passed_on(tmp_path):
    from fiducial.tracking.lightning_logger import TrackingLogger

    tracker = Tracker(outputs=tmp_path, uri=None, system_metrics_seconds=0)
    with track(tmp_path / "a", tracker, name="a", experiment="test") as run:
        logger = TrackingLogger(run, name="test")
        logger.log_metrics({"loss": 0.5, "epoch": 1}, 7)
        logger.log_metrics({"epoch": 1}, 8)
        logger.log_hyperparams({"lr": 0.1})
        assert (logger.name, logger.version, logger.save_dir) == ("test", run.id, str(tmp_path / "a"))
    events = [event for event, _ in read(tmp_path / "a" / "tracking" / "journal.jsonl")]
    points = [point for event in events for point in event.get("points", ())]
    assert [(key, value, step) for key, value, _, step in points] == [("loss", 0.5, 7), ("epoch", 1.0, 7)]
    assert "params" not in [event["event"] for event in events]


def test_other_ranks_log_nothing(tmp_path, monkeypatch):
    from pytorch_lightning.utilities import rank_zero_only

    from fiducial.tracking.lightning_logger import TrackingLogger

    class Forbidden(NullRun):
        def log_metrics(self, metrics, step):
            pytest.fail("rank 1 logged")

    monkeypatch.setattr(rank_zero_only, "rank", 1)
    TrackingLogger(Forbidden(tmp_path)).log_metrics({"loss": 0.5}, 7)
