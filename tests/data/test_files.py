from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fiducial.data.table import Table


def write(folder: Path) -> Path:
    """Write eight images and their table; return the table's path."""
    folder.mkdir(parents=True)
    text = "path,label,subject,split\n"
    for number in range(8):
        np.save(folder / f"{number}.npy", np.full((2, 2), number, np.uint8))
        text += f"{number}.npy,{'ab'[number % 2]},p{number},{('train', 'val', 'test', 'test')[number // 2]}\n"
    (folder / "table.csv").write_text(text)
    return folder / "table.csv"


def test_fingerprint_depends_on_nothing_but_content(tmp_path: Path) -> None:
    first = write(tmp_path / "one")
    expected = Table(path=first).fingerprint()
    assert expected["files"] == "8"
    assert len(expected["sha256"]) == 64
    for number in range(8):
        os.utime(first.parent / f"{number}.npy", (1, number))
    assert Table(path=first, cache=tmp_path / "c1").fingerprint() == expected
    assert Table(path=first, cache=tmp_path / "c1").fingerprint() == expected  # as remembered
    assert Table(path=write(tmp_path / "elsewhere"), cache=tmp_path / "c2", pack=False).fingerprint() == expected


def pixel(folder: Path) -> None:
    np.save(folder / "5.npy", np.array([[5, 5], [5, 6]], np.uint8))


def swap(folder: Path) -> None:
    (folder / "0.npy").rename(folder / "x")
    (folder / "2.npy").rename(folder / "0.npy")
    (folder / "x").rename(folder / "2.npy")


def cell(old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        text = (folder / "table.csv").read_text()
        assert old in text
        (folder / "table.csv").write_text(text.replace(old, new))

    return change


@pytest.mark.parametrize(
    "change",
    [
        pixel,
        swap,
        cell("3.npy,b", "3.npy,a"),
        cell("p3,val", "p3,test"),
        cell("p3,val", "p9,val"),
        cell("7.npy,b,p7,test\n", ""),
    ],
    ids=["pixel", "files swapped", "label", "split", "subject", "case left out"],
)
def test_fingerprint_changes_with_any_case(tmp_path: Path, change: Callable[[Path], None]) -> None:
    path, cache = write(tmp_path / "data"), tmp_path / "cache"
    before = Table(path=path, cache=cache).fingerprint()
    change(path.parent)
    assert Table(path=path, cache=cache).fingerprint() != before


def test_known_hashes_are_those_of_the_files(tmp_path: Path) -> None:
    path = write(tmp_path / "data")
    source = Table(path=path, cache=tmp_path / "cache")
    expected = [hashlib.sha256((path.parent / f"{number}.npy").read_bytes()).hexdigest() for number in range(8)]
    assert source._content_hashes == expected
    assert Table(path=path, cache=tmp_path / "cache")._content_hashes == expected
