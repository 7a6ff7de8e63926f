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


@pytest.fixture(scope="session")
def trained() -> Callable[..., Path]:
    """Train a tiny network as the command would, without its pictures, into any folder; return the run's."""

    def trained(outputs: Path, *overrides: str, network: tuple[str, ...] = NETWORK) -> Path:
        torch.set_num_threads(1)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(outcome, "draw", lambda *args, **options: {})
            assert run("train", [*TINY, *network, f"outputs={outputs}", *overrides]) == 0
        return newest(outputs)

    return trained


@pytest.fixture
def train(trained: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Train into a folder of the test, in which evaluations draw no pictures either."""
    monkeypatch.setattr(outcome, "draw", lambda *args, **options: {})

    def train(*overrides: str, outputs: str = "outputs", network: tuple[str, ...] = NETWORK) -> Path:
        return trained(tmp_path / outputs, *overrides, network=network)

    return train


@pytest.fixture(scope="session")
def whole(trained: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the run that `train()` gives: made once, to compare others with."""
    return trained(tmp_path_factory.mktemp("whole"))


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
