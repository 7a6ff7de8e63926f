from __future__ import annotations

import os
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from fiducial import checkpoints
from fiducial.checkpoints import BEST, LAST, PREVIOUS, AtomicCheckpointIO, damage, resume_point, selected
from fiducial.errors import InputError

CONTENT = {"state_dict": {"weight": torch.arange(1000.0)}, "epoch": 3}


def write(path: Path) -> Path:
    AtomicCheckpointIO().save_checkpoint(CONTENT, path)
    return path


def test_intact_file_has_no_damage(tmp_path: Path) -> None:
    path = write(tmp_path / LAST)
    assert damage(path) == ""
    assert torch.equal(torch.load(path, weights_only=True)["state_dict"]["weight"], torch.arange(1000.0))


@pytest.mark.parametrize("cut", [0, 1, 100, 0.5, -1, -200])
def test_every_cut_is_noticed(cut: float, tmp_path: Path) -> None:
    path = write(tmp_path / LAST)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * cut) if isinstance(cut, float) else cut])
    assert damage(path)


def test_every_flipped_byte_of_a_tensor_is_noticed(tmp_path: Path) -> None:
    path = write(tmp_path / LAST)
    content = path.read_bytes()
    start = content.index(torch.arange(1000.0).numpy().tobytes())
    for offset in (0, 1999, 3999):
        changed = bytearray(content)
        changed[start + offset] ^= 1
        path.write_bytes(changed)
        assert "wrong checksum" in damage(path) or "Bad CRC-32" in damage(path)


def test_resume_point_is_the_newest_intact_file(tmp_path: Path) -> None:
    assert resume_point(tmp_path, select="best") == (None, [])
    previous = write(tmp_path / PREVIOUS)
    assert resume_point(tmp_path, select="best") == (previous, [])
    last = write(tmp_path / LAST)
    assert resume_point(tmp_path, select="best") == (last, [])
    last.write_bytes(b"PK")
    found, faults = resume_point(tmp_path, select="best")
    assert found == previous
    assert len(faults) == 1
    assert f"{last} is damaged" in faults[0]
    previous.write_bytes(b"")
    found, faults = resume_point(tmp_path, select="best")
    assert found is None
    assert len(faults) == 2


def test_training_begins_anew_where_the_best_is_lost_and_wanted(tmp_path: Path) -> None:
    last, best = write(tmp_path / LAST), write(tmp_path / BEST)
    assert resume_point(tmp_path, select="best") == (last, [])
    best.write_bytes(b"PK")
    assert resume_point(tmp_path, select="last") == (last, [])
    found, faults = resume_point(tmp_path, select="best")
    assert found is None
    assert f"{best} is damaged" in faults[0]


def test_damaged_checkpoint_is_not_used(tmp_path: Path) -> None:
    best = write(tmp_path / BEST)
    assert selected(tmp_path, "best") == best
    best.write_bytes(best.read_bytes()[:-100])
    with pytest.raises(
        InputError, match=r"best\.ckpt is damaged \(.+\), and no other file has its weights: train again"
    ):
        selected(tmp_path, "best")
    with pytest.raises(InputError, match=r"has no checkpoint last\.ckpt"):
        selected(tmp_path, "last")


def test_file_under_its_name_is_always_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / LAST)
    before = path.read_bytes()

    def half(content: Any, file: Any) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(
        InputError, match=r"last\.ckpt could not be written: No space left on device \(\d+ MiB are free"
    ):
        write(tmp_path / LAST)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [LAST]


def test_checksums_are_those_of_zip(tmp_path: Path) -> None:
    """What `damage` relies on: torch writes plain, checksummed zip entries."""
    with zipfile.ZipFile(write(tmp_path / LAST)) as archive:
        assert all(entry.compress_type == zipfile.ZIP_STORED for entry in archive.infolist())
        assert any(entry.CRC for entry in archive.infolist())


def test_best_is_a_copy_where_files_cannot_be_linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*args: Any) -> None:
        raise OSError(95, "Operation not supported")

    path, best = write(tmp_path / LAST), tmp_path / "best.ckpt"
    checkpoints._link(path, best)
    assert best.stat().st_ino == path.stat().st_ino
    monkeypatch.setattr(os, "link", no_links)
    checkpoints._link(path, best)
    assert best.stat().st_ino != path.stat().st_ino
    assert best.read_bytes() == path.read_bytes()


def test_an_epoch_that_calls_nothing_positive_is_no_better_and_no_end(tmp_path: Path) -> None:
    watch = checkpoints.Checkpoints(tmp_path, "val/precision")
    trainer: Any = SimpleNamespace(callback_metrics={"val/precision": torch.tensor(float("nan"))}, current_epoch=0)
    assert not watch._better(watch._value(trainer))
    with pytest.raises(InputError, match="undefined in every epoch: no case was called positive"):
        watch.on_fit_end(trainer, Any)
    trainer.callback_metrics["val/precision"] = torch.tensor(0.5)
    assert watch._better(watch._value(trainer))
    other = checkpoints.Checkpoints(tmp_path, "val/auroc")
    trainer.callback_metrics["val/auroc"] = torch.tensor(float("nan"))
    with pytest.raises(InputError, match="a score over cases of one class has no value"):
        other._value(trainer)
