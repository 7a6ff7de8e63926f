from __future__ import annotations

import dataclasses
import hashlib
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fiducial.data import medmnist, unpack
from fiducial.data.checks import check
from fiducial.data.medmnist import MedMNIST
from fiducial.data.medmnist_sets import SETS, file_name
from fiducial.errors import InputError

SPLITS = {"train": 5, "val": 3, "test": 4}

# Yang et al., Scientific Data 10:41 (2023), table 2: total, train, val, test; number of classes or labels.
PAPER = {
    "pathmnist": (107_180, 89_996, 10_004, 7_180, 9),
    "chestmnist": (112_120, 78_468, 11_219, 22_433, 14),
    "dermamnist": (10_015, 7_007, 1_003, 2_005, 7),
    "octmnist": (109_309, 97_477, 10_832, 1_000, 4),
    "pneumoniamnist": (5_856, 4_708, 524, 624, 2),
    "retinamnist": (1_600, 1_080, 120, 400, 5),
    "breastmnist": (780, 546, 78, 156, 2),
    "bloodmnist": (17_092, 11_959, 1_712, 3_421, 8),
    "tissuemnist": (236_386, 165_466, 23_640, 47_280, 8),
    "organamnist": (58_850, 34_581, 6_491, 17_778, 11),
    "organcmnist": (23_660, 13_000, 2_392, 8_268, 11),
    "organsmnist": (25_221, 13_940, 2_452, 8_829, 11),
    "organmnist3d": (1_743, 972, 161, 610, 11),
    "nodulemnist3d": (1_633, 1_158, 165, 310, 2),
    "adrenalmnist3d": (1_584, 1_188, 98, 298, 2),
    "fracturemnist3d": (1_370, 1_027, 103, 240, 3),
    "vesselmnist3d": (1_909, 1_335, 192, 382, 2),
    "synapsemnist3d": (1_759, 1_230, 177, 352, 2),
}
# Version 2.2.4 of the authors' package left out blank images.
LEFT_OUT_SINCE = {
    "organamnist": (20, 0, 0),
    "organcmnist": (25, 0, 52),
    "organsmnist": (8, 0, 2),
    "organmnist3d": (1, 0, 0),
    "vesselmnist3d": (0, 1, 0),
}


@pytest.mark.parametrize("name", PAPER)
def test_facts_are_those_of_the_paper(name: str) -> None:
    facts, (total, *counts, num_classes) = SETS[name], PAPER[name]
    assert sum(counts) == total
    expected = np.subtract(counts, LEFT_OUT_SINCE.get(name, (0, 0, 0)))
    assert facts.num_cases == tuple(expected)
    assert len(facts.classes) == num_classes
    assert len(set(facts.classes)) == num_classes


def test_table_of_sets_is_complete() -> None:
    assert sorted(SETS) == sorted(PAPER)
    for name, facts in SETS.items():
        assert facts.title.lower() == name
        assert facts.spatial_dims == (3 if name.endswith("3d") else 2)
        assert tuple(facts.md5) == ((28, 64) if facts.spatial_dims == 3 else (28, 64, 128, 224))
    checksums = [checksum for facts in SETS.values() for checksum in facts.md5.values()]
    assert all(re.fullmatch("[0-9a-f]{32}", checksum) for checksum in checksums)
    assert len(set(checksums)) == len(checksums) == 12 * 4 + 6 * 2
    colour = {name for name, facts in SETS.items() if facts.channels == 3}
    assert colour == {"pathmnist", "dermamnist", "retinamnist", "bloodmnist"}
    special = {name: facts.target for name, facts in SETS.items() if facts.target in ("multilabel", "ordinal")}
    assert special == {"chestmnist": "multilabel", "retinamnist": "ordinal"}
    assert all((facts.target == "binary") == (len(facts.classes) == 2) for facts in SETS.values())


def made_up(name: str, size: int) -> dict[str, np.ndarray]:
    """Return arrays in the layout of an official file: channels last or none, labels `(cases, 1)` or flags."""
    rng, facts = np.random.default_rng(0), SETS[name]
    several = facts.target == "multilabel"
    shape = (size,) * facts.spatial_dims + ((3,) if facts.channels == 3 else ())
    arrays = {}
    for split, count in SPLITS.items():
        arrays[f"{split}_images"] = rng.integers(0, 256, (count, *shape), np.uint8)
        columns = (count, len(facts.classes)) if several else (count, 1)
        arrays[f"{split}_labels"] = rng.integers(0, 2 if several else len(facts.classes), columns).astype(np.uint8)
    return arrays


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write a file into the data folder, or change it, and let its checksum be the pinned one."""

    def write(name: str, size: int = 28, content: bytes | None = None, **arrays: np.ndarray) -> Path:
        path = tmp_path / "medmnist" / file_name(name, size)
        path.parent.mkdir(exist_ok=True)
        if content is None:
            np.savez_compressed(path, **(arrays or made_up(name, size)))
        else:
            path.write_bytes(content)
        pinned = {size: hashlib.md5(path.read_bytes()).hexdigest()}
        monkeypatch.setattr(medmnist, "SETS", {**SETS, name: dataclasses.replace(SETS[name], md5=pinned)})
        return path

    return write


# Volumes of 64 pixels are large: one set of them is enough.
LARGER = [(name, 64) for name, facts in SETS.items() if facts.spatial_dims == 2 or name == "organmnist3d"]


@pytest.mark.parametrize(("name", "size"), [*((name, 28) for name in SETS), *LARGER, ("breastmnist", 224)])
def test_every_set_is_read(write: Any, tmp_path: Path, name: str, size: int) -> None:
    write(name, size)
    source, arrays = MedMNIST(name=name, folder=tmp_path, size=size), made_up(name, size)
    spec, cases, pixels = source.spec, source.cases, source.pixels()
    assert spec.size == (size,) * spec.spatial_dims
    assert pixels.shape == (12, spec.channels, *spec.size)
    assert pixels.dtype == np.uint8
    check(cases, spec)
    for split, rows in zip(SPLITS, ([0, 1, 2, 3, 4], [5, 6, 7], [8, 9, 10, 11]), strict=True):
        np.testing.assert_array_equal(cases.where(split), rows)
        labels, images = arrays[f"{split}_labels"], arrays[f"{split}_images"]
        np.testing.assert_array_equal(cases.label[rows], labels if spec.target == "multilabel" else labels[:, 0])
        for number, row in enumerate(rows):
            image = images[number] if spec.channels == 3 else images[number][..., None]
            for channel in range(spec.channels):
                np.testing.assert_array_equal(source.read(row)[channel], image[..., channel])
    assert cases.case[6] == f"{name}/val/0001"
    assert cases.label.dtype == np.int64


@pytest.mark.parametrize("name", ["breastmnist", "bloodmnist", "organmnist3d"])
def test_a_large_set_is_mapped_and_has_the_same_pixels(
    write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    write(name)
    in_memory = MedMNIST(name=name, folder=tmp_path, cache=tmp_path / "cache").pixels()
    monkeypatch.setattr(medmnist, "LARGE", 0)
    monkeypatch.setattr(unpack, "CHUNK_BYTES", 3000)  # a few rows
    for _ in range(2):
        mapped = MedMNIST(name=name, folder=tmp_path, cache=tmp_path / "cache").pixels()
        np.testing.assert_array_equal(mapped, in_memory)
        assert isinstance(mapped if mapped.base is None else mapped.base, np.memmap)
    assert len(list((tmp_path / "cache" / "images").glob("*.npy"))) == 1
    assert not list((tmp_path / "cache" / "images").glob("*.part"))


def test_a_large_set_that_is_damaged_is_named(write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(medmnist, "LARGE", 0)
    write("breastmnist", **{key: value for key, value in made_up("breastmnist", 28).items() if key != "val_images"})
    with pytest.raises(InputError, match=r"breastmnist\.npz: cannot read images"):
        MedMNIST(name="breastmnist", folder=tmp_path, cache=tmp_path / "cache").pixels()


def test_file_beside_the_folder_is_found_too(write: Any, tmp_path: Path) -> None:
    write("breastmnist").rename(tmp_path / "breastmnist.npz")
    assert MedMNIST(name="breastmnist", folder=tmp_path).path == tmp_path / "breastmnist.npz"


def test_unknown_set_and_size() -> None:
    with pytest.raises(InputError, match=r"no set 'brestmnist'; did you mean breastmnist\?"):
        MedMNIST(name="brestmnist", folder=".")
    with pytest.raises(InputError, match="nodulemnist3d comes at sizes 28, 64; got 224"):
        MedMNIST(name="nodulemnist3d", folder=".", size=224)


def test_file_with_another_checksum_is_refused(write: Any, tmp_path: Path) -> None:
    path = write("breastmnist")
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(InputError, match=r"breastmnist\.npz: wrong checksum: expected md5 "):
        _ = MedMNIST(name="breastmnist", folder=tmp_path, cache=tmp_path / "cache").cases


def test_damaged_zip_missing_array_and_pickle_are_refused(write: Any, tmp_path: Path) -> None:
    whole = write("breastmnist").read_bytes()
    middle = len(whole) // 3
    for content in (whole[: len(whole) // 2], b"text", whole[:middle] + b"\0" * 64 + whole[middle + 64 :]):
        write("breastmnist", content=content)
        source = MedMNIST(name="breastmnist", folder=tmp_path)
        with pytest.raises(InputError, match=r"breastmnist\.npz: cannot read "):
            _ = source.cases, source.pixels()
    arrays = made_up("breastmnist", 28)
    write("breastmnist", **{key: array for key, array in arrays.items() if key != "val_labels"})
    with pytest.raises(InputError, match="cannot read val_labels"):
        _ = MedMNIST(name="breastmnist", folder=tmp_path).cases
    write("breastmnist", **arrays | {"val_labels": np.array([[open]] * 3, dtype=object)})
    with pytest.raises(InputError, match=r"cannot read val_labels: .*allow_pickle=False"):
        _ = MedMNIST(name="breastmnist", folder=tmp_path).cases


def test_missing_file_is_downloaded(write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write("breastmnist")
    served = tmp_path / "served" / "breastmnist.npz?download=1"
    served.parent.mkdir()
    path.rename(served)
    monkeypatch.setattr(medmnist, "RECORD", served.parent.as_uri())
    monkeypatch.setattr(medmnist, "fetch", lambda url, path, md5: _copy(url, path, md5))
    assert len(MedMNIST(name="breastmnist", folder=tmp_path).cases) == 12
    assert path.is_file()


def _copy(url: str, path: Path, md5: str) -> Path:
    content = Path(url.removeprefix("file://")).read_bytes()
    assert hashlib.md5(content).hexdigest() == md5
    path.write_bytes(content)
    return path


def test_without_download_the_address_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"breastmnist_64\.npz: no such file, .*it is offered at https://zenodo\.org/"):
        _ = MedMNIST(name="breastmnist", folder=tmp_path, size=64, download=False).path


def test_fingerprint_is_that_of_the_file(write: Any, tmp_path: Path) -> None:
    content = write("breastmnist").read_bytes()
    for cache in (None, tmp_path / "cache", tmp_path / "cache"):
        found = MedMNIST(name="breastmnist", folder=tmp_path, cache=cache).fingerprint()
        assert found["sha256"] == hashlib.sha256(content).hexdigest()
        assert found["md5"] == hashlib.md5(content).hexdigest()


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "labels", "md5"),
    [
        ("breastmnist", [[147, 399], [21, 57], [42, 114]], "750601b1f35ba3300ea97c75c52ff8f6"),
        ("pneumoniamnist", [[1214, 3494], [135, 389], [234, 390]], "28209eda62fecd6e6a2d98b1501bb15f"),
    ],
)
def test_official_files(name: str, labels: list[list[int]], md5: str, tmp_path: Path) -> None:
    folder = Path(os.environ.get("FIDUCIAL_DATA", ""))
    if "FIDUCIAL_DATA" not in os.environ or not (folder / "medmnist" / f"{name}.npz").is_file():
        pytest.skip(f"needs $FIDUCIAL_DATA/medmnist/{name}.npz")
    source = MedMNIST(name=name, folder=folder, cache=tmp_path, download=False)
    cases = source.cases
    assert [np.bincount(cases.label[cases.where(split)]).tolist() for split in SPLITS] == labels
    assert tuple(len(cases.where(split)) for split in SPLITS) == SETS[name].num_cases
    with np.load(folder / "medmnist" / f"{name}.npz") as file:
        np.testing.assert_array_equal(source.pixels()[cases.where("val")], file["val_images"][:, None])
    assert source.fingerprint()["md5"] == md5
