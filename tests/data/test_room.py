from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from fiducial.data import room
from fiducial.data.formats import decode
from fiducial.data.room import check_room
from fiducial.data.volumes import read_volume
from fiducial.errors import InputError


@pytest.mark.parametrize("read", [read_volume, decode])
def test_a_volume_larger_than_memory_is_named_before_it_is_read(read: Any, tmp_path: Path) -> None:
    """Its header promises 32 TB; the file holds a few bytes."""
    path = tmp_path / "huge.nii"
    nibabel.save(nibabel.Nifti1Image(np.zeros((2, 2, 2), np.int16), np.eye(4)), path)
    content = bytearray(path.read_bytes())
    content[42:48] = np.array([20000] * 3, "<i2").tobytes()
    path.write_bytes(content)
    with pytest.raises(
        InputError, match=r"huge\.nii: this image of 20000 × 20000 × 20000 values takes 29802\.3 GiB, mo"
    ):
        read(path)


def test_what_is_left_decides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(room, "free_bytes", lambda: 2**30)
    check_room((2**10, 2**9, 2**9), tmp_path)  # exactly 1 GiB
    with pytest.raises(InputError, match=r"takes 1\.0 GiB, more than the 1\.0 GiB"):
        check_room((2**10, 2**9, 2**9 + 1), tmp_path)


def test_a_container_may_have_less_than_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(room, "LIMIT", tmp_path / "max")
    monkeypatch.setattr(room, "USED", tmp_path / "current")
    machine = room.free_bytes()
    assert machine > 2**20
    (tmp_path / "current").write_text("600000\n")
    (tmp_path / "max").write_text("max\n")
    assert room.free_bytes() > 2**20
    (tmp_path / "max").write_text("1000000\n")
    assert room.free_bytes() == 400000
