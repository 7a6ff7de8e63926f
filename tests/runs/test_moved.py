"""Runs whose folder was moved, whose data lie elsewhere by now, or beside which a power loss left broken files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fiducial.checkpoints import Checkpoints
from fiducial.cli.command import run
from fiducial.errors import InputError
from fiducial.runs import folder
from fiducial.tracking.journal import read

pytestmark = pytest.mark.slow

Train = Callable[..., Path]
Weights = Callable[..., dict[str, torch.Tensor]]


@pytest.fixture
def interrupted(train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Interrupt a run after its second epoch, and move the folder of runs; return the run's folder in its new place."""
    save = Checkpoints.on_train_epoch_end

    def dying(self: Checkpoints, *args: object) -> None:
        save(self, *args)  # type: ignore[arg-type]
        if self.epoch == 1:
            raise RuntimeError("the machine is gone")

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "on_train_epoch_end", dying)
        with pytest.raises(RuntimeError, match="the machine is gone"):
            train(outputs="before")
    (tmp_path / "before").rename(tmp_path / "after")
    (out,) = (tmp_path / "after").glob("runs/*/*")
    return out


def tags(out: Path) -> dict[str, str]:
    """Return a run's tags, from its journal."""
    found: dict[str, str] = {}
    for event, _ in read(out / "tracking" / "journal.jsonl"):
        found |= event["values"] if event["event"] == "tags" else {}
    return found


@pytest.mark.parametrize("how", ["by its folder", "by the same command"])
def test_a_run_goes_on_where_its_folder_is_now(
    how: str, interrupted: Path, train: Train, weights: Weights, tmp_path: Path
) -> None:
    whole = train(outputs="whole")
    made_by = tags(interrupted)["fiducial.command"]
    if how == "by its folder":
        assert run("train", [f"resume={interrupted}"]) == 0
    else:
        assert train("resume=auto", outputs="after") == interrupted
    assert all(torch.equal(value, weights(interrupted)[name]) for name, value in weights(whole).items())
    assert tags(interrupted)["fiducial.command"] == made_by
    assert tags(interrupted)["fiducial.resumed_by"]
    assert not (tmp_path / "before").exists()
    assert folder.config(interrupted).outputs == str(tmp_path / "after")


def test_a_run_goes_on_with_the_places_that_its_command_names(interrupted: Path, train: Train, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    before = folder.config(interrupted)
    assert train("resume=auto", f"data_dir={tmp_path / 'data'}", outputs="after") == interrupted
    cfg = folder.config(interrupted)
    assert cfg.data_dir == str(tmp_path / "data")
    assert (cfg.name, cfg.study) == (before.name, before.study)


def test_files_that_cannot_be_read_keep_no_other_run_from_being_found(train: Train, tmp_path: Path) -> None:
    out = train("epochs=1")
    broken = out.parent / "20200101-000000-abcdef"
    (broken / "tracking").mkdir(parents=True)
    (broken / "run.json").write_text("")
    (broken / "tracking" / "delivered.json").write_text("")
    assert folder.find(out.name, tmp_path / "outputs") == out
    assert folder.latest(tmp_path / "outputs", folder.record(out).identity) == out
    other = train("epochs=1", "optimizer.lr=0.05")
    assert folder.latest(tmp_path / "outputs", folder.record(out).identity) == out, "the later one has other settings"
    assert folder.latest(tmp_path / "outputs", folder.record(other).identity) == other
    with pytest.raises(InputError, match="names no run"):
        folder.find("nowhere", tmp_path / "outputs")
