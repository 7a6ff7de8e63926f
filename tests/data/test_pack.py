from __future__ import annotations

import multiprocessing
import os
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fiducial.data import pack
from fiducial.data.image_folder import ImageFolder
from fiducial.data.pack import key_of, packed
from fiducial.errors import InputError

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 1, 5, 4), np.uint8)
FILES = [Path(f"{number}.png") for number in range(len(PIXELS))]


def test_pixels_are_mapped_and_read_once(tmp_path: Path) -> None:
    reads: list[int] = []

    def read(index: int) -> np.ndarray:
        reads.append(index)
        return PIXELS[index]

    for _ in range(2):
        found = packed(len(FILES), "key", read, (1, 5, 4), tmp_path)
        assert isinstance(found, np.memmap)
        assert not found.flags.writeable
        np.testing.assert_array_equal(found, PIXELS)
    assert sorted(reads) == [0, *range(12)]  # the first one twice, for its type
    assert [path.suffix for path in (tmp_path / "images").iterdir() if path.suffix != ".lock"] == [".npy"]


def _pack_and_count(cache: Path) -> None:
    def read(index: int) -> np.ndarray:
        with (cache / "reads").open("ab") as log:
            log.write(b".")
        return PIXELS[index]

    found = packed(len(FILES), "key", read, (1, 5, 4), cache)
    assert (found == PIXELS).all()


def test_processes_that_start_together_decode_once(tmp_path: Path) -> None:
    processes = [multiprocessing.get_context("fork").Process(target=_pack_and_count, args=(tmp_path,)) for _ in "123"]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert (tmp_path / "reads").stat().st_size == 1 + len(PIXELS)


def test_key_changes_with_files_and_options(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(b"12")
        os.utime(tmp_path / name, ns=(0, 10**18))
    files = [tmp_path / "a", tmp_path / "b"]
    options = {"size": [4, 4], "policy": "crop"}
    first = key_of(files, tmp_path, options)
    assert key_of(files, tmp_path, {"policy": "crop", "size": (4, 4)}) == first
    others = [
        key_of(files, tmp_path, options | {"policy": "pad"}),
        key_of(files[::-1], tmp_path, options),
        key_of([*files, tmp_path / "c"], tmp_path, options),
    ]
    os.utime(files[1], ns=(0, 10**18 + 1))
    others.append(key_of(files, tmp_path, options))
    files[1].write_bytes(b"123")
    os.utime(files[1], ns=(0, 10**18))
    others.append(key_of(files, tmp_path, options))
    assert len({first, *others}) == 6


def test_key_does_not_depend_on_where_the_folder_is(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "a").write_bytes(b"1")
    first = key_of([tmp_path / "here" / "a"], tmp_path / "here", {})
    (tmp_path / "here").rename(tmp_path / "there")
    assert key_of([tmp_path / "there" / "a"], tmp_path / "there", {}) == first


def test_key_of_a_missing_file_names_its_case(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"case x/gone\.png: there is no image .*gone\.png"):
        key_of([tmp_path / "x" / "gone.png"], tmp_path, {})


def test_full_disk_is_told_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1, 1, 100))
    with pytest.raises(InputError, match=r"decoded images need 0 MiB in .*, 0 MiB are free; set cache_dir"):
        packed(len(FILES), "key", lambda index: PIXELS[index], (1, 5, 4), tmp_path)
    assert not list(tmp_path.rglob("*.npy"))


def test_disk_that_fills_up_meanwhile_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pack.os, "posix_fallocate", full)
    with pytest.raises(InputError, match=r"cannot be written \(No space left on device\); set cache_dir"):
        packed(len(FILES), "key", lambda index: PIXELS[index], (1, 5, 4), tmp_path)
    assert {path.suffix for path in (tmp_path / "images").iterdir()} <= {".lock"}


def test_cache_that_cannot_be_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(InputError, match=r"cannot be written .*set cache_dir"):
        packed(len(FILES), "key", lambda index: PIXELS[index], (1, 5, 4), tmp_path / "cache")


def test_a_bad_image_leaves_no_array_behind(tmp_path: Path) -> None:
    def read(index: int) -> np.ndarray:
        if index == 7:
            raise InputError("case seven is damaged")
        return PIXELS[index]

    with pytest.raises(InputError, match="case seven"):
        packed(len(FILES), "key", read, (1, 5, 4), tmp_path)
    assert {path.suffix for path in (tmp_path / "images").iterdir()} <= {".lock"}


@pytest.mark.parametrize("intensity", [None, "minmax"])
def test_packed_or_not_the_pixels_are_the_same(tmp_path: Path, intensity: str | None) -> None:
    for name in ("a", "b"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(3):
            Image.fromarray(PIXELS[number, 0]).save(tmp_path / "images" / name / f"{number}.png")
    options: dict[str, Any] = {"root": tmp_path / "images", "size": [6, 6], "intensity": intensity}
    one, other = ImageFolder(**options, cache=tmp_path / "cache"), ImageFolder(**options, pack=False)
    assert other.pixels() is None
    everything = one.pixels()
    assert everything is not None
    for row in range(6):
        np.testing.assert_array_equal(everything[row], other.read(row))
        np.testing.assert_array_equal(one.read(row), other.read(row))
