"""Cases of several files, one a modality: `data=table` with paths separated by `|`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image

from fiducial.cli.command import run
from fiducial.data.survey import survey
from fiducial.data.table import Table
from fiducial.errors import InputError

SHAPE = (5, 6, 7)  # of a volume's file: x, y, z


def volume(path: Path, value: float, *, shape: tuple[int, ...] = SHAPE, shift: float = 0.0) -> None:
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    affine[0, 3] = shift
    values = np.full(shape, value, np.float32)
    values[0, 0, 0] = 0
    nibabel.save(nibabel.Nifti1Image(values, affine), path)


@pytest.fixture
def table(tmp_path: Path) -> Any:
    """Write six subjects with two volumes each, of values 10 and 20 and their number, and read a table of them."""
    for number in range(6):
        volume(tmp_path / f"{number}_t1.nii.gz", 10 + number)
        volume(tmp_path / f"{number}_t2.nii.gz", 20 + number)

    def read(change: dict[int, str] | None = None, **options: Any) -> Table:
        names = {number: f"{number}_t1.nii.gz|{number}_t2.nii.gz" for number in range(6)} | (change or {})
        lines = [f"{name},{'ab'[number % 2]},s{number}" for number, name in names.items()]
        path = tmp_path / "table.csv"
        path.write_text("\n".join(["path,label,subject", *lines]))
        return Table(path=path, intensity=[0, 100], **options)

    return read


@pytest.mark.parametrize("pack", [True, False])
def test_files_become_channels(table: Any, tmp_path: Path, pack: bool) -> None:
    source = table(cache=tmp_path / "cache", pack=pack)
    assert (source.spec.channels, source.spec.size, source.spec.files) == (2, SHAPE[::-1], 2)
    assert source.present is None
    for row in range(6):
        image = source.read(row)
        assert image.dtype == np.float32
        np.testing.assert_allclose(image[:, 1:].mean(axis=(1, 2, 3)), [0.10 + row / 100, 0.20 + row / 100], rtol=1e-6)


def test_eight_bit_files_are_in_the_same_range(tmp_path: Path) -> None:
    """A picture of 8 bits beside one of 16."""
    lines = ["path,label,subject"]
    for number in range(6):
        Image.fromarray(np.full((4, 4), 51, np.uint8)).save(tmp_path / f"{number}a.png")
        Image.fromarray(np.full((4, 4), 13107, np.uint16)).save(tmp_path / f"{number}b.png")
        lines.append(f"{number}a.png | {number}b.png,{'ab'[number % 2]},s{number}")
    (tmp_path / "table.csv").write_text("\n".join(lines))
    image = Table(path=tmp_path / "table.csv", intensity="dtype").read(0)
    np.testing.assert_allclose(image, 0.2, rtol=1e-6)


def test_a_missing_file_is_a_missing_channel(table: Any, tmp_path: Path) -> None:
    change = {1: "1_t1.nii.gz|", 4: "|4_t2.nii.gz"}
    with pytest.raises(InputError, match=r"line 3: a file is missing.*allow_incomplete=true"):
        _ = table(change).spec
    source = table(change, allow_incomplete=True, cache=tmp_path / "cache")
    assert source.present.tolist() == [[row != 4, row != 1] for row in range(6)]
    assert source.read(1)[1].max() == 0
    assert source.read(4)[0].max() == 0
    assert source.read(4)[1].max() == pytest.approx(0.24)
    digests = {source.fingerprint()["sha256"]}
    for other in ({}, {1: "|1_t1.nii.gz"}, {1: "1_t1.nii.gz|"}):
        digests.add(table(other, allow_incomplete=True).fingerprint()["sha256"])
    assert len(digests) == 4, "which channel a file is belongs to the data"


def test_intensities_are_those_of_the_files_that_are_there(table: Any) -> None:
    source = table({1: "1_t1.nii.gz|", 4: "|4_t2.nii.gz"}, allow_incomplete=True)
    seen = survey(source)
    assert seen.present is not None
    values = np.concatenate([each[0] for each in seen.values])
    assert np.nanpercentile(values, [2, 99]) == pytest.approx([0.10, 0.15], abs=0.001), "10 to 15 of 100, case 4 apart"
    assert np.isnan(seen.values[4][0]).all()
    assert seen.highest == pytest.approx([0.15, 0.25])
    assert seen.blank == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({2: "2_t1.nii.gz"}, "line 4: expected 2 files separated by |, as in the first; got 1"),
        ({2: "|"}, "line 4: the path is missing"),
        ({2: "2_t1.nii.gz|none.nii.gz"}, "there is no image"),
        ({2: "2_t1.nii.gz|small.nii.gz"}, r"small.nii.gz beside 2_t1.nii.gz: the image has the shape"),
        ({2: "2_t1.nii.gz|shifted.nii.gz"}, "other and image have the same shape but another geometry"),
    ],
)  # fmt: skip
def test_what_cannot_be_one_image(change: dict[int, str], message: str, table: Any, tmp_path: Path) -> None:
    volume(tmp_path / "small.nii.gz", 5, shape=(4, 6, 7))
    volume(tmp_path / "shifted.nii.gz", 5, shift=3.0)
    source = table(change, cache=tmp_path / "cache")
    with pytest.raises(InputError, match=message.replace("|", r"\|") if "expected" in message else message):
        source.pixels()


def test_channels_are_the_files(table: Any) -> None:
    with pytest.raises(InputError, match=r"channels=3: the cases have 2 files"):
        _ = table(channels=3).spec


@pytest.mark.slow
def test_a_run_with_missing_modalities(table: Any, tmp_path: Path) -> None:
    """Trains on incomplete cases; `predict`, which takes a file an image, says what to do instead."""
    for number in range(6, 30):
        volume(tmp_path / f"{number}_t1.nii.gz", 10 + 50 * (number % 2) + number / 10)
        volume(tmp_path / f"{number}_t2.nii.gz", 20 + number)
    names = {number: f"{number}_t1.nii.gz|{number}_t2.nii.gz" for number in range(6, 30)}
    source = table({**names, 7: "7_t1.nii.gz|", 8: "|8_t2.nii.gz"}, allow_incomplete=True)
    given = [
        "data=table", f"data.source.path={source.path}", "data.source.intensity=[0,100]", "data.source.size=[8,8,8]",
        "data.source.allow_incomplete=true", "data.allow=[near_duplicates,exact_duplicates]", "data.batch_size=6",
        "epochs=2", "model.widths=[4]", "model.dense=[4]", "tracking=none", "hardware=cpu", "hardware.threads=1",
        f"outputs={tmp_path / 'outputs'}",
    ]  # fmt: skip
    assert run("train", given) == 0
    (out,) = (tmp_path / "outputs").glob("runs/*/*")
    assert run("evaluate", [str(out), "--modalities"]) == 0
    (scores,) = out.glob("evaluations/*/modalities.csv")
    assert [line.split(",")[0] for line in scores.read_text().splitlines()[1:]] == [
        "channel 0 + channel 1", "channel 0", "channel 1",
    ]  # fmt: skip
    with pytest.raises(InputError, match="an image of this run is 2 files"):
        run("predict", [str(out), str(tmp_path / "0_t1.nii.gz")])
