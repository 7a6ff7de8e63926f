from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fiducial.cli.command import run
from fiducial.runs import outcome

TINY = (
    "hardware=cpu",
    "hardware.threads=1",
    "tracking=none",
    "tracking.system_metrics_seconds=0",
    "data.source.num_subjects=40",
    "data.source.images_per_subject=1",
    "data.source.size=[16,16]",
    "data.batch_size=5",
    "objective=val/loss",
    "epochs=4",
)
NETWORK = ("model.widths=[4]", "model.dense=[8]")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Train a tiny network as the command would, without its pictures; return the run's folder."""
    monkeypatch.setattr(outcome, "draw", lambda *args, **options: {})

    def train(*overrides: str, outputs: str = "outputs", network: tuple[str, ...] = NETWORK) -> Path:
        place = tmp_path / outputs
        assert run("train", [*TINY, *network, f"outputs={place}", *overrides]) == 0
        return newest(place)

    return train


def newest(outputs: Path) -> Path:
    return max(outputs.glob("runs/*/*"), key=lambda path: path.stat().st_mtime)


@pytest.fixture
def weights() -> Callable[..., dict[str, torch.Tensor]]:
    def weights(out: Path, name: str = "last.ckpt") -> dict[str, torch.Tensor]:
        state: dict[str, torch.Tensor] = load(out, name)["state_dict"]
        return state

    return weights


def load(out: Path, name: str = "last.ckpt") -> dict[str, Any]:
    content: dict[str, Any] = torch.load(out / "checkpoints" / name, weights_only=True)
    return content


def journal(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "tracking" / "journal.jsonl").read_text().splitlines()]


@pytest.fixture
def points() -> Callable[[Path], list[tuple[str, int, float]]]:
    """Return every tracked metric point of a run: name, step, value."""

    def points(out: Path) -> list[tuple[str, int, float]]:
        events = [event for event in journal(out) if event["event"] == "metrics"]
        return sorted((p[0], p[3], p[1]) for event in events for p in event["points"])

    return points


@pytest.fixture
def tags() -> Callable[[Path], dict[str, str]]:
    def tags(out: Path) -> dict[str, str]:
        found: dict[str, str] = {}
        for event in journal(out):
            found |= event["values"] if event["event"] == "tags" else {}
        return found

    return tags


@pytest.fixture
def status() -> Callable[[Path], str]:
    def status(out: Path) -> str:
        return ["RUNNING", *(str(event["status"]) for event in journal(out) if event["event"] == "status")][-1]

    return status
