"""What is written while a run trains."""

from __future__ import annotations

import io

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from fiducial.reports.progress import Progress, duration

# Lightning's own use of torch, and its advice on loaders
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec.*"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:The number of training batches.*"),
]


class Regression(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)

    def training_step(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        loss: torch.Tensor = self.layer(batch["image"]).square().mean()
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=len(batch["image"]))
        return loss

    def validation_step(self, batch: dict[str, torch.Tensor]) -> None:
        self.log("val/score", torch.tensor(0.25), batch_size=len(batch["image"]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def fit(stream: io.StringIO) -> str:
    loader = DataLoader([{"image": torch.ones(4)}] * 12, batch_size=4)
    progress = Progress("val/score", refresh_seconds=0, stream=stream)
    silent = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False, "num_sanity_val_steps": 0}
    trainer = pl.Trainer(max_epochs=3, accelerator="cpu", callbacks=[progress], **silent)  # type: ignore[arg-type]
    trainer.fit(Regression(), loader, loader)
    return stream.getvalue()


def test_a_file_gets_one_line_an_epoch() -> None:
    lines = fit(io.StringIO()).splitlines()
    assert [line.split()[1] for line in lines] == ["1/3", "2/3", "3/3"]
    assert all("images/s" in line and "val/score 0.2500" in line and "loss" in line for line in lines)
    assert "0 s left" in lines[-1]


def test_a_terminal_line_is_rewritten() -> None:
    written = fit(Terminal())
    assert written.count("\r") >= 9
    assert "3/3" in written.rpartition("epoch")[2]
    assert "\n" not in written.rstrip("\n")


def test_durations_as_people_say_them() -> None:
    assert [duration(s) for s in (0.4, 59.6, 3599, 3661)] == ["0 s", "1 min 00 s", "59 min 59 s", "1 h 01 min"]


@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
def test_a_line_that_cannot_be_written_ends_nothing(kind: type[io.StringIO], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: io.StringIO, text: str) -> int:
        raise OSError(28, "No space left on device")

    stream = type("Full", (kind,), {"write": full})()
    assert fit(stream) == ""
