from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fiducial.data import mednist
from fiducial.data.mednist import CLASSES, MedNIST
from fiducial.errors import InputError

EACH = 4


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mednist, "NUM_IMAGES", EACH * len(CLASSES))


def jpeg(grey: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((64, 64), grey, np.uint8)).save(stream, "jpeg")
    return stream.getvalue()


def pack(path: Path, members: dict[str, bytes], links: dict[str, str] | None = None) -> None:
    with tarfile.open(path, "w:gz") as tar:
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


def images() -> dict[str, bytes]:
    """The official layout: MedNIST/<class>/<number>.jpeg."""
    return {
        f"MedNIST/{name}/{number:06d}.jpeg": jpeg(40 * label + number)
        for label, name in enumerate(CLASSES)
        for number in range(EACH)
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    pack(folder / "MedNIST.tar.gz", images())
    return folder


def test_archive_is_unpacked_into_the_cache(folder: Path, tmp_path: Path) -> None:
    source = MedNIST(folder=folder, cache=tmp_path / "cache", fractions=(0.5, 0.25, 0.25))
    assert (source.spec.size, source.spec.classes) == ((64, 64), CLASSES)
    cases = source.cases
    np.testing.assert_array_equal(cases.label, np.repeat(np.arange(6), EACH))
    assert cases.case[5] == "BreastMRI/000001.jpeg"
    assert [int(source.read(row)[0, 9, 9]) for row in (0, 5, 23)] == [0, 41, 203]
    counts = {split: np.bincount(cases.label[cases.where(split)]).tolist() for split in ("train", "val", "test")}
    assert counts == {"train": [2] * 6, "val": [1] * 6, "test": [1] * 6}
    assert sorted(path.name for path in folder.iterdir()) == ["MedNIST.tar.gz"]
    assert not (tmp_path / "cache" / "MedNIST.part").exists()
    assert source.fingerprint()["archive"] == "not the official archive"


def test_official_archive_is_told_by_its_checksum(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hashlib

    checksum = hashlib.md5((folder / "MedNIST.tar.gz").read_bytes()).hexdigest()
    monkeypatch.setattr(mednist, "MD5", checksum)
    assert MedNIST(folder=folder, cache=tmp_path / "cache").fingerprint()["archive"] == "official"


def test_unpacked_folder_is_read_in_place(tmp_path: Path) -> None:
    for name, content in images().items():
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    source = MedNIST(folder=tmp_path / "data", cache=tmp_path / "cache", size=(32, 48), channels=3)
    assert source.read(7).shape == (3, 32, 48)
    assert not (tmp_path / "cache" / "MedNIST").exists()
    (tmp_path / "data" / "MedNIST" / "Hand" / "000002.jpeg").unlink()
    with pytest.raises(InputError, match="expected MedNIST's 24 images, found 23"):
        _ = MedNIST(folder=tmp_path / "data", cache=tmp_path / "cache").files


@pytest.mark.parametrize("seed", range(5))
def test_equal_files_stay_in_one_split(tmp_path: Path, seed: int) -> None:
    members = images()
    for copy, original in ((0, 3), (1, 2)):
        members[f"MedNIST/Hand/{copy:06d}.jpeg"] = members[f"MedNIST/Hand/{original:06d}.jpeg"]
    pack(tmp_path / "MedNIST.tar.gz", members)
    cases = MedNIST(folder=tmp_path, cache=tmp_path / "cache", fractions=(0.5, 0.25, 0.25), seed=seed).cases
    split, subject = (dict(zip(cases.case, column, strict=True)) for column in (cases.split, cases.subject))
    for copy, original in ((0, 3), (1, 2)):
        names = f"Hand/{copy:06d}.jpeg", f"Hand/{original:06d}.jpeg"
        assert split[names[0]] == split[names[1]]
        assert subject[names[0]] == subject[names[1]] == names[0]
    assert len(set(cases.subject)) == len(cases) - 2


@pytest.mark.parametrize(
    ("extra", "links"),
    [
        ({"../escaped.txt": b"x"}, {}),
        ({"MedNIST/../../escaped.txt": b"x"}, {}),
        ({}, {"MedNIST/Hand/link.jpeg": "/etc/passwd"}),
        ({}, {"MedNIST/Hand/link.jpeg": "../../../../escaped.txt"}),
        ({"MedNIST/out/escaped.txt": b"x"}, {"MedNIST/out": ".."}),
    ],
    ids=["above", "above from inside", "absolute link", "link above", "through a link"],
)
def test_archive_that_reaches_out_is_refused(tmp_path: Path, extra: dict[str, bytes], links: dict[str, str]) -> None:
    archive = tmp_path / "MedNIST.tar.gz"
    pack(archive, images() | extra, links)
    cache = tmp_path / "deep" / "cache"
    with pytest.raises(InputError, match="cannot be unpacked into"):
        _ = MedNIST(folder=tmp_path, cache=cache).files
    assert not list(tmp_path.rglob("escaped.txt"))
    assert not (cache / "MedNIST.part").exists()


def test_truncated_and_foreign_archives_leave_nothing(folder: Path, tmp_path: Path) -> None:
    archive, cache = folder / "MedNIST.tar.gz", tmp_path / "cache"
    whole = archive.read_bytes()
    for broken in (whole[: len(whole) // 2], b"no archive", whole[:200] + b"\0" * 50 + whole[250:]):
        archive.write_bytes(broken)
        with pytest.raises(InputError, match=r"MedNIST\.tar\.gz: cannot be unpacked into"):
            _ = MedNIST(folder=folder, cache=cache).files
    pack(archive, {"elsewhere/a.jpeg": jpeg(0)})
    with pytest.raises(InputError, match=r"expected the folders AbdomenCT, .*found none"):
        _ = MedNIST(folder=folder, cache=cache).files
    assert [path.name for path in cache.iterdir() if path.is_dir()] == []


def test_what_images_are_like_is_known_without_the_archive(tmp_path: Path) -> None:
    spec = MedNIST(folder=tmp_path, cache=tmp_path / "cache", size=(32, 48), channels=3, download=False).spec
    assert (spec.channels, spec.size, spec.classes) == (3, (32, 48), CLASSES)
    assert list(tmp_path.iterdir()) == []


def test_without_archive_and_download_the_address_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"MedNIST is neither in .* nor in .*; it is offered at https://github.com"):
        _ = MedNIST(folder=tmp_path, cache=tmp_path, download=False).files


@pytest.mark.data
@pytest.mark.slow
def test_real_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not (archive := Path(os.environ.get("FIDUCIAL_DATA", "")) / "MedNIST.tar.gz").is_file():
        pytest.skip("needs $FIDUCIAL_DATA/MedNIST.tar.gz")
    monkeypatch.undo()
    source = MedNIST(folder=archive.parent, cache=tmp_path)
    # As MONAI's tutorial prints them.
    assert np.bincount(source.cases.label).tolist() == [10_000, 8_954, 10_000, 10_000, 10_000, 10_000]
    first = np.asarray(Image.open(source.files[0]))
    np.testing.assert_array_equal(source._decode(0)[0], first)
