"""Prepared cases: made once, shared, whole, bounded."""

from __future__ import annotations

import multiprocessing
import os
import pickle
from pathlib import Path

import numpy as np
import psutil
import pytest
from masked_files import OBLIQUE, make_nnunet, save_nifti, volume

from fiducial.data import prepared as module
from fiducial.data.nnunet_raw import NnunetRaw
from fiducial.data.preparation import Preparation
from fiducial.data.prepared import PreparedCases
from fiducial.data.sample import Sample
from fiducial.errors import InputError


@pytest.fixture
def source(tmp_path: Path) -> NnunetRaw:
    return NnunetRaw(root=make_nnunet(tmp_path / "raw"), cache=tmp_path / "cache")


class Counting(Preparation):
    """A preparation that counts its calls."""

    calls = 0

    def __call__(self, sample: Sample) -> Sample:
        type(self).calls += 1
        return super().__call__(sample)


@pytest.fixture(autouse=True)
def _from_zero() -> None:
    Counting.calls = 0


def folders(tmp_path: Path) -> list[Path]:
    return [entry for entry in (tmp_path / "cache" / "prepared").iterdir() if entry.is_dir()]


def test_a_case_is_prepared_once_and_is_what_was_prepared(source: NnunetRaw, tmp_path: Path) -> None:
    prepare = Counting(intensity="zscore")
    cases = PreparedCases(source, prepare)
    first, again = cases[2], PreparedCases(source, Counting(intensity="zscore"))[2]
    assert Counting.calls == 1
    expected = Preparation(intensity="zscore")(source.sample(2))
    for found in (first, again):
        np.testing.assert_array_equal(found.image, expected.image)
        np.testing.assert_array_equal(found.mask, expected.mask)
        np.testing.assert_allclose(found.affine, expected.affine)
    assert isinstance(first.image, np.memmap)
    assert len(folders(tmp_path)) == 1


def test_other_options_and_other_content_are_prepared_anew(source: NnunetRaw, tmp_path: Path) -> None:
    PreparedCases(source, Counting(intensity="zscore"))[0]
    PreparedCases(source, Counting(intensity="minmax"))[0]
    assert Counting.calls == 2
    save_nifti(tmp_path / "raw" / "imagesTr" / "case0_0000.nii.gz", volume(77)[0] + 5, OBLIQUE)
    changed = PreparedCases(source, Counting(intensity="zscore"))[0]
    assert Counting.calls == 3
    np.testing.assert_array_equal(changed.image, Preparation(intensity="zscore")(source.sample(0)).image)


def test_a_process_killed_in_writing_leaves_nothing_that_is_taken(
    source: NnunetRaw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_rename", killed)
    with pytest.raises(KeyboardInterrupt):
        PreparedCases(source, Preparation())[0]
    monkeypatch.undo()
    assert folders(tmp_path) == []
    assert PreparedCases(source, Preparation())[0].size == (12, 10, 8)


def test_room_on_disk_is_bounded_and_the_latest_stay(source: NnunetRaw, tmp_path: Path) -> None:
    one = PreparedCases(source)[0]
    assert one.mask is not None
    size = one.image.nbytes + one.mask.nbytes
    cases = PreparedCases(source, Counting(), limit_gib=2.6 * size / 2**30)
    for row in (0, 1, 2, 3):
        np.testing.assert_array_equal(cases[row].mask, Preparation()(source.sample(row)).mask)
    assert sum(file.stat().st_size for folder in folders(tmp_path) for file in folder.iterdir()) <= 2.6 * size
    assert Counting.calls == 4
    PreparedCases(source, Counting())[3]
    assert Counting.calls == 4  # the latest is still there
    assert float(cases[0].image.sum()) == pytest.approx(float(Preparation()(source.sample(0)).image.sum()))


def test_a_run_whose_cases_do_not_fit_is_told_so_once(source: NnunetRaw, capfd: pytest.CaptureFixture[str]) -> None:
    one = PreparedCases(source)[0]
    cases = PreparedCases(source, Counting(), limit_gib=1.5 * one.image.nbytes / 2**30)
    for row in (0, 1, 2):
        cases[row]
    assert capfd.readouterr().err.count("cases of this run give way") == 1
    PreparedCases(source, Counting(intensity="minmax"), limit_gib=1.5 * one.image.nbytes / 2**30)[0]
    assert not capfd.readouterr().err, "what an earlier run left gives way in silence"


def test_the_room_on_disk_is_not_looked_at_for_every_case(source: NnunetRaw, monkeypatch: pytest.MonkeyPatch) -> None:
    looks, look = [], module._make_room
    monkeypatch.setattr(module, "_make_room", lambda *args: looks.append(None) or look(*args))
    cases = PreparedCases(source, Preparation())
    for row in range(4):
        cases[row]
    assert len(looks) == 1, "nothing was noted yet"


def _fill(source: NnunetRaw, limit: float, number: int) -> None:
    cases = PreparedCases(source, Preparation(intensity=[0, 100 + number]), limit_gib=limit)
    for row in range(4):
        cases[row]


def test_processes_together_keep_to_the_room(source: NnunetRaw, tmp_path: Path) -> None:
    PreparedCases(source, Preparation(intensity=[0, 99]))[0]
    size = sum(file.stat().st_size for file in folders(tmp_path)[0].iterdir())
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_fill, args=(source, 5.5 * size / 2**30, number)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=120)
        assert worker.exitcode == 0
    assert 4 <= len(folders(tmp_path)) <= 5
    note = int((tmp_path / "cache" / "prepared" / "room").read_text())
    assert note <= 5.5 * size


def test_few_files_are_open_at_once(source: NnunetRaw, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAPPED", 2)
    process, cases = psutil.Process(), PreparedCases(source, Preparation())
    before = process.num_fds()
    for row in (0, 1, 2, 3, 0, 1):
        np.testing.assert_array_equal(cases[row].mask, Preparation()(source.sample(row)).mask)
        assert process.num_fds() - before <= 2 * 2, "an image and a mask for each of two cases"


def test_a_case_that_gives_way_while_it_is_looked_for_is_prepared_again(
    source: NnunetRaw, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, times = module._read, []

    def gone_once(folder: Path) -> Sample:
        times.append(None)
        if len(times) == 1:
            module._delete(folder)
        return read(folder)

    monkeypatch.setattr(module, "_read", gone_once)
    found = PreparedCases(source, Counting())[0]
    assert Counting.calls == 2
    np.testing.assert_array_equal(found.mask, Preparation()(source.sample(0)).mask)


def test_a_case_that_gives_way_again_and_again_is_named(source: NnunetRaw, monkeypatch: pytest.MonkeyPatch) -> None:
    read = module._read
    monkeypatch.setattr(module, "_read", lambda folder: module._delete(folder) or read(folder))
    with pytest.raises(InputError, match=r"keep deleting .* data\.cache_limit_gib"):
        PreparedCases(source, Preparation())[0]


@pytest.mark.parametrize("missing", ["image.npy", "facts.json"])
def test_a_case_of_which_a_file_is_missing_is_prepared_again(source: NnunetRaw, tmp_path: Path, missing: str) -> None:
    PreparedCases(source, Counting())[0]
    (folder,) = folders(tmp_path)
    (folder / missing).unlink()
    found = PreparedCases(source, Counting())[0]
    np.testing.assert_array_equal(found.image, Preparation()(source.sample(0)).image)
    assert folders(tmp_path) == [folder], "nothing is left aside"


def test_a_case_larger_than_the_room_is_named(source: NnunetRaw) -> None:
    with pytest.raises(InputError, match=r"cache_limit_gib"):
        PreparedCases(source, limit_gib=1e-9)[0]


def _sum(cases: PreparedCases, queue: object) -> None:
    queue.put(float(cases[1].image.sum()))  # type: ignore[attr-defined]


def test_processes_that_prepare_together_agree(source: NnunetRaw, tmp_path: Path) -> None:
    cases, context = PreparedCases(source), multiprocessing.get_context("fork")
    queue = context.Queue()
    workers = [context.Process(target=_sum, args=(cases, queue)) for _ in range(4)]
    for worker in workers:
        worker.start()
    found = {queue.get(timeout=60) for _ in workers}
    for worker in workers:
        worker.join(timeout=60)
        assert worker.exitcode == 0
    assert found == {float(source.sample(1).image.sum())}
    assert len(folders(tmp_path)) == 1


@pytest.mark.parametrize("umask", [0o002, 0o027])
def test_a_case_can_be_read_by_those_who_share_the_cache(source: NnunetRaw, tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        _ = PreparedCases(source)[0]
    finally:
        os.umask(before)
    (folder,) = folders(tmp_path)
    assert folder.stat().st_mode & 0o777 == 0o777 & ~umask
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o666 & ~umask}


def test_a_case_of_another_user_is_read(source: NnunetRaw, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose time of use only its owner may set."""
    first = PreparedCases(source)[0]

    def refused(path: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(module.os, "utime", refused)
    np.testing.assert_array_equal(PreparedCases(source)[0].image, first.image)


def test_a_cache_that_cannot_be_read_is_named(source: NnunetRaw, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path) -> bool:
        if path.name == module.FACTS:
            raise PermissionError(13, "Permission denied")
        return True

    monkeypatch.setattr(Path, "is_file", refused)
    with pytest.raises(InputError, match=r"cannot be read or written \(Permission denied\); set cache_dir to another"):
        _ = PreparedCases(source)[0]


def test_workers_take_no_pixels_along(source: NnunetRaw) -> None:
    cases = PreparedCases(source)
    _ = cases[0]
    one = len(pickle.dumps(cases))
    _ = cases[1], cases[2], cases[3]
    assert len(pickle.dumps(cases)) == one < cases[0].image.nbytes
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(cases))[0].image, cases[0].image)


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    source = NnunetRaw(root=make_nnunet(tmp_path / "raw", 3), cache=tmp_path / "cache")
    with pytest.raises(InputError, match="cache_dir"):
        PreparedCases(source)[0]


def test_pixels_that_are_no_numbers_are_named(tmp_path: Path) -> None:
    root = make_nnunet(tmp_path / "raw", 3)
    image = volume(0)[0].astype(np.float32)
    image[0, 0, 0] = np.nan
    save_nifti(root / "imagesTr" / "case1_0000.nii.gz", image, OBLIQUE)
    with pytest.raises(InputError, match="case case1: 1 of"):
        PreparedCases(NnunetRaw(root=root))[1]
