"""Sources of masks read the layouts of their originals, and name what is wrong with a file."""

from __future__ import annotations

import csv
import json
import os
import tarfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from masked_files import OBLIQUE, make_decathlon, make_drive, make_nnunet, save_nifti, volume
from PIL import Image

from fiducial.config import compose
from fiducial.data import decathlon
from fiducial.data.archive import unpack
from fiducial.data.assignment import assigned
from fiducial.data.augment import Augment
from fiducial.data.chase_db1 import ChaseDb1, field_of_view
from fiducial.data.checks import check
from fiducial.data.columns import Columns
from fiducial.data.decathlon import TASKS, Decathlon
from fiducial.data.drive import Drive
from fiducial.data.mask_table import MaskTable
from fiducial.data.masked import MaskedSource
from fiducial.data.module import DataModule
from fiducial.data.nnunet_raw import NnunetRaw
from fiducial.data.patches import PatchDataset, Patches
from fiducial.data.preparation import Preparation
from fiducial.errors import InputError

TASK = "Task04_Hippocampus"
REAL = Path(os.environ.get("FIDUCIAL_DATA", "data"))
needs_drive = pytest.mark.skipif(not (REAL / "DRIVE").is_dir(), reason="needs $FIDUCIAL_DATA/DRIVE")
needs_hippocampus = pytest.mark.skipif(
    not (REAL / "decathlon" / TASK).is_dir(), reason=f"needs $FIDUCIAL_DATA/decathlon/{TASK}"
)


def counts(source: MaskedSource) -> dict[str, int]:
    check(source.cases, source.spec)
    return {split: len(source.cases.where(split)) for split in ("train", "val", "test")}


class TestDrive:
    def test_splits_are_the_published_ones(self, tmp_path: Path) -> None:
        make_drive(tmp_path)
        source = Drive(folder=tmp_path)
        assert counts(source) == {"train": 16, "val": 4, "test": 20}
        assert source.cases.case[source.cases.where("test")].tolist() == [f"{number:02d}" for number in range(1, 21)]

    def test_a_seed_draws_who_validates(self, tmp_path: Path) -> None:
        make_drive(tmp_path)
        drawn = [set(np.flatnonzero(Drive(folder=tmp_path, seed=s).cases.split == "val").tolist()) for s in (0, 0, 1)]
        assert drawn[0] == drawn[1] != drawn[2]
        assert counts(Drive(folder=tmp_path, validation=0.5)) == {"train": 10, "val": 10, "test": 20}

    def test_a_case_is_what_its_files_hold(self, tmp_path: Path) -> None:
        root = make_drive(tmp_path)
        source = Drive(folder=tmp_path)
        sample = source.sample(20)
        with Image.open(root / "test" / "images" / "01_test.tif") as picture:
            np.testing.assert_array_equal(sample.image, np.moveaxis(np.asarray(picture), -1, 0))
        assert sample.mask is not None
        assert sample.region is not None
        assert set(np.unique(sample.mask)) == {0, 1}
        assert not sample.region[0, 0]
        second = source.observers(20)["second observer"]
        np.testing.assert_array_equal(second, np.roll(sample.mask, 1, 0))
        assert source.observers(0) == {}

    def test_what_is_missing_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"drive\.grand-challenge\.org"):
            _ = Drive(folder=tmp_path).cases
        root = make_drive(tmp_path)
        (root / "test" / "mask" / "07_test_mask.gif").unlink()
        with pytest.raises(InputError, match=r"07_test_mask\.gif"):
            _ = Drive(folder=tmp_path).cases

    def test_a_mask_of_another_size_is_named(self, tmp_path: Path) -> None:
        root = make_drive(tmp_path)
        Image.fromarray(np.zeros((10, 10), np.uint8)).save(root / "training" / "1st_manual" / "21_manual1.gif")
        with pytest.raises(InputError, match=r"case 21.*\(40, 48\).*\(10, 10\)"):
            Drive(folder=tmp_path).sample(0)

    @needs_drive
    def test_the_official_files(self) -> None:
        source = Drive(folder=REAL)
        sample = source.sample(20)
        assert sample.image.shape == (3, *source.spec.size) == (3, 584, 565)
        assert sample.mask is not None
        assert sample.region is not None
        assert 0.1 < sample.mask[sample.region].mean() < 0.15
        assert 0.65 < sample.region.mean() < 0.72


class TestChaseDb1:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        root = tmp_path / "CHASEDB1"
        root.mkdir()
        image = np.zeros((20, 24, 3), np.uint8)
        image[3:17, 4:20] = 120
        mask = np.zeros((20, 24), bool)
        mask[10, 4:20] = True
        for child in range(1, 15):
            for eye in "LR":
                Image.fromarray(image).save(root / f"Image_{child:02d}{eye}.jpg", quality=95)
                for observer in ("1st", "2nd"):
                    Image.fromarray(mask).save(root / f"Image_{child:02d}{eye}_{observer}HO.png")
        return tmp_path

    def test_both_eyes_of_a_child_stay_together(self, folder: Path) -> None:
        source = ChaseDb1(folder=folder)
        assert counts(source) == {"train": 16, "val": 4, "test": 8}
        assert set(source.cases.subject[source.cases.where("test")]) == {"11", "12", "13", "14"}

    def test_a_case(self, folder: Path) -> None:
        sample = ChaseDb1(folder=folder).sample(0)
        assert sample.mask is not None
        assert sample.region is not None
        assert sample.mask.sum() == 16
        assert sample.region[5:15, 6:18].all()
        assert not sample.region[:2].any()

    def test_the_field_of_view_is_the_largest_bright_part_without_holes(self) -> None:
        image = np.zeros((3, 30, 30), np.uint8)
        image[:, 5:25, 5:25] = 100
        image[:, 10:12, 10:12] = 0
        image[:, 0:2, 0:2] = 100
        expected = np.zeros((30, 30), bool)
        expected[5:25, 5:25] = True
        np.testing.assert_array_equal(field_of_view(image), expected)


class TestDecathlon:
    def test_a_task_in_either_place(self, tmp_path: Path) -> None:
        root = make_decathlon(tmp_path, affine=OBLIQUE)
        source = Decathlon(task=TASK, folder=tmp_path)
        assert sum(counts(source).values()) == 6
        assert source.spec.classes == ("background", "anterior", "posterior")
        before = dict(source.fingerprint())
        root.rename(tmp_path / TASK)
        moved = Decathlon(task=TASK, folder=tmp_path)
        assert dict(moved.fingerprint()) == before
        np.testing.assert_array_equal(moved.sample(3).mask, volume(3)[1])
        np.testing.assert_allclose(moved.sample(3).affine, OBLIQUE)

    def test_a_misspelt_task_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="did you mean Task04_Hippocampus"):
            Decathlon(task="Task04_Hipocampus", folder=tmp_path)

    def test_an_archive_is_fetched_and_unpacked(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        made = make_decathlon(tmp_path / "origin")
        asked: dict[str, str] = {}

        def fetch(url: str, path: Path, *, md5: str) -> Path:
            asked.update(url=url, md5=md5)
            path.parent.mkdir(parents=True, exist_ok=True)
            with tarfile.open(path, "w") as tar:
                tar.add(made, TASK)
            return path

        monkeypatch.setattr(decathlon, "fetch", fetch)
        source = Decathlon(task=TASK, folder=tmp_path / "data")
        assert len(source.cases) == 6
        assert asked == {"url": f"https://msd-for-monai.s3-us-west-2.amazonaws.com/{TASK}.tar", "md5": TASKS[TASK].md5}

    def test_without_downloads_the_places_are_named(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=f"neither in .*decathlon/{TASK} nor in"):
            _ = Decathlon(task=TASK, folder=tmp_path, download=False).cases

    def test_all_ten_tasks_are_known(self) -> None:
        assert len(TASKS) == 10
        assert {len(facts.md5) for facts in TASKS.values()} == {32}
        assert TASKS["Task01_BrainTumour"].channels == ("FLAIR", "T1w", "T1gd", "T2w")

    def test_what_is_known_of_a_task_must_be_what_its_description_says(self, tmp_path: Path) -> None:
        root = make_decathlon(tmp_path)
        content = json.loads((root / "dataset.json").read_text())
        (root / "dataset.json").write_text(json.dumps({**content, "labels": {"0": "background", "1": "whole"}}))
        with pytest.raises(InputError, match=r"expected 3 labels \(background, anterior, posterior\)"):
            _ = Decathlon(task=TASK, folder=tmp_path).cases

    @needs_hippocampus
    def test_the_official_files(self) -> None:
        source = Decathlon(task=TASK, folder=REAL)
        sample = source.sample(0)
        theirs = nibabel.load(source.entries[0].images[0])
        np.testing.assert_array_equal(sample.image[0], np.asarray(theirs.dataobj))
        assert counts(source) == {"train": 156, "val": 52, "test": 52}


class TestNnunetRaw:
    def test_channels_classes_and_cases(self, tmp_path: Path) -> None:
        source = NnunetRaw(root=make_nnunet(tmp_path))
        assert (source.channels, source.classes) == (("T1", "T2"), ("background", "core", "rim"))
        assert source.spec.channels == 2
        sample = source.sample(4)
        np.testing.assert_array_equal(sample.image[1] - sample.image[0], 1000)
        np.testing.assert_array_equal(sample.mask, volume(4)[1])

    def test_the_first_version_of_the_format(self, tmp_path: Path) -> None:
        labels = {"0": "background", "1": "core", "2": "rim"}
        root = make_nnunet(tmp_path, channel_names=None, modality={"0": "T1", "1": "T2"}, labels=labels)
        assert NnunetRaw(root=root).classes == ("background", "core", "rim")

    def test_pixels_to_ignore_lie_outside_the_region(self, tmp_path: Path) -> None:
        sample = NnunetRaw(root=make_nnunet(tmp_path, labels={"background": 0, "core": 1, "ignore": 2})).sample(0)
        truth = volume(0)[1]
        np.testing.assert_array_equal(sample.region, truth != 2)
        np.testing.assert_array_equal(sample.mask, truth == 1)

    def test_values_between_the_classes_and_what_is_ignored_are_refused(self, tmp_path: Path) -> None:
        labels = {"background": 0, "core": 1, "rim": 2, "ignore": 255}
        root = make_nnunet(tmp_path, labels=labels)
        mask = volume(0)[1]
        mask[0, 0, :2] = 255
        save_nifti(root / "labelsTr" / "case0.nii.gz", mask, OBLIQUE)
        sample = NnunetRaw(root=root).sample(0)
        assert sample.region is not None
        np.testing.assert_array_equal(sample.region, mask != 255)
        np.testing.assert_array_equal(sample.mask, np.where(mask == 255, 0, mask))
        mask[0, 0, 3] = 7
        save_nifti(root / "labelsTr" / "case0.nii.gz", mask, OBLIQUE)
        with pytest.raises(InputError, match="expected the values 0, 1, 2, 255 in a mask, found 0, 1, 2, 7, 255"):
            NnunetRaw(root=root).sample(0)

    @pytest.mark.parametrize(
        ("subject", "said"),
        [
            (r"(x)?case", r"case case0: data\.source\.subject='\(x\)\?case' finds no subject"),
            (r"case(", "is no regular expression"),
            (r"case\d", "needs a group"),
        ],
    )
    def test_what_finds_no_subject_is_refused(self, tmp_path: Path, subject: str, said: str) -> None:
        """A group that takes no part in what is found would make all cases one subject, called None."""
        with pytest.raises(InputError, match=said):
            _ = NnunetRaw(root=make_nnunet(tmp_path), subject=subject).cases

    def test_subjects_are_found_in_names(self, tmp_path: Path) -> None:
        source = NnunetRaw(root=make_nnunet(tmp_path), subject=r"case(\d)")
        assert source.cases.subject.tolist() == list("012345")
        with pytest.raises(InputError, match="finds no subject"):
            _ = NnunetRaw(root=tmp_path, subject=r"patient(\d)").cases

    def test_an_unlabelled_case_is_named_or_allowed(self, tmp_path: Path) -> None:
        root = make_nnunet(tmp_path)
        (root / "labelsTr" / "case3.nii.gz").unlink()
        with pytest.raises(InputError, match=r"no mask of case3.*allow_unlabelled"):
            _ = NnunetRaw(root=root).cases
        source = NnunetRaw(root=root, allow_unlabelled=True)
        assert source.sample(3).mask is None
        assert len(source.cases) == 6

    def test_a_missing_channel_is_named(self, tmp_path: Path) -> None:
        root = make_nnunet(tmp_path)
        (root / "imagesTr" / "case2_0001.nii.gz").unlink()
        with pytest.raises(InputError, match=r"case2_0001\.nii\.gz"):
            _ = NnunetRaw(root=root).cases

    def test_a_missing_channel_is_allowed(self, tmp_path: Path) -> None:
        root = make_nnunet(tmp_path)
        for name in ("case1_0001", "case3_0000"):
            (root / "imagesTr" / f"{name}.nii.gz").unlink()
        source = NnunetRaw(root=root, allow_incomplete=True)
        assert len(source.cases) == 6
        assert source.present is not None
        assert source.present[[0, 1, 3]].tolist() == [[True, True], [True, False], [False, True]]
        assert source.identity(1) != NnunetRaw(root=make_nnunet(tmp_path)).identity(1)

    def test_channels_on_different_grids_are_named(self, tmp_path: Path) -> None:
        root = make_nnunet(tmp_path)
        save_nifti(root / "imagesTr" / "case2_0001.nii.gz", volume(2)[0], np.eye(4))
        with pytest.raises(InputError, match=r"case case2, case2_0001\.nii\.gz.*another geometry"):
            NnunetRaw(root=root).sample(2)

    @pytest.mark.parametrize(
        ("labels", "named"),
        [
            ({"background": 0, "whole": [1, 2], "core": 2}, "region of several numbers"),
            ({"background": 0, "core": 2}, "numbered 0, 1, 2"),
        ],
    )
    def test_labels_that_are_not_one_number_each(self, tmp_path: Path, labels: object, named: str) -> None:
        with pytest.raises(InputError, match=named):
            _ = NnunetRaw(root=make_nnunet(tmp_path, labels=labels)).classes

    def test_a_class_number_beyond_the_description_is_named(self, tmp_path: Path) -> None:
        source = NnunetRaw(root=make_nnunet(tmp_path, labels={"background": 0, "core": 1}))
        with pytest.raises(InputError, match=r"case0\.nii\.gz: expected class numbers 0 to 1, found 0, 1, 2"):
            source.sample(0)

    @pytest.mark.parametrize("content", ["", "[1]", "{"])
    def test_a_description_that_cannot_be_read(self, tmp_path: Path, content: str) -> None:
        make_nnunet(tmp_path)
        (tmp_path / "dataset.json").write_text(content)
        with pytest.raises(InputError, match=r"dataset\.json"):
            _ = NnunetRaw(root=tmp_path).cases

    def test_pictures(self, tmp_path: Path) -> None:
        (tmp_path / "imagesTr").mkdir()
        (tmp_path / "labelsTr").mkdir()
        for number in range(4):
            grey = np.full((8, 9), 10 * number, np.uint8)
            Image.fromarray(grey).save(tmp_path / "imagesTr" / f"p{number}_0000.png")
            Image.fromarray((np.indices((8, 9)).sum(0) % 2).astype(np.uint8)).save(
                tmp_path / "labelsTr" / f"p{number}.png"
            )
        labels = {"background": 0, "vessel": 1}
        content = {"channel_names": {"0": "grey"}, "labels": labels, "file_ending": ".png"}
        (tmp_path / "dataset.json").write_text(json.dumps(content))
        source = NnunetRaw(root=tmp_path)
        assert source.spec.spatial_dims == 2
        assert source.sample(2).image[0, 0, 0] == 20
        assert source.sample(2).affine is None


class TestMaskTable:
    def write(self, tmp_path: Path, rows: list[dict[str, str]]) -> Path:
        path = tmp_path / "cases.csv"
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        return path

    def rows(self, tmp_path: Path, count: int = 5) -> list[dict[str, str]]:
        for number in range(count):
            image, mask = volume(number)
            save_nifti(tmp_path / f"i{number}.nii.gz", image)
            save_nifti(tmp_path / f"m{number}.nii.gz", mask)
            save_nifti(tmp_path / f"r{number}.nii.gz", (mask < 2).astype(np.uint8))
        return [
            {"path": f"i{n}.nii.gz|i{n}.nii.gz", "mask": f"m{n}.nii.gz", "subject": f"s{n // 2}"} for n in range(count)
        ]

    def test_a_table(self, tmp_path: Path) -> None:
        rows = self.rows(tmp_path, 10)
        source = MaskTable(path=self.write(tmp_path, rows), classes=["background", "a", "b"])
        assert source.spec.channels == 2
        assert source.cases.subject.tolist() == [f"s{number // 2}" for number in range(10)]
        check(source.cases, source.spec)
        np.testing.assert_array_equal(source.sample(1).mask, volume(1)[1])

    def test_given_splits_and_regions(self, tmp_path: Path) -> None:
        splits = ["train", "train", "val", "val", "test"]
        rows = [
            {**row, "split": split, "region": f"r{number}.nii.gz"}
            for number, (row, split) in enumerate(zip(self.rows(tmp_path), splits, strict=True))
        ]
        source = MaskTable(path=self.write(tmp_path, rows), classes=["background", "a", "b"])
        assert source.cases.split.tolist() == splits
        np.testing.assert_array_equal(source.sample(0).region, volume(0)[1] < 2)
        rows[0]["split"] = "training"
        with pytest.raises(InputError, match="split must be train, val, test; got 'training'"):
            _ = MaskTable(path=self.write(tmp_path, rows), classes=["background", "a", "b"]).cases

    def test_a_line_without_its_subject_is_refused(self, tmp_path: Path) -> None:
        rows = [{**row, "subject": "one" if number else ""} for number, row in enumerate(self.rows(tmp_path))]
        with pytest.raises(InputError, match="the subject is missing; give one to every line, or to none"):
            _ = MaskTable(path=self.write(tmp_path, rows), classes=["background", "a", "b"]).cases

    @pytest.mark.parametrize("suffix", [".png", ".tif"])
    def test_masks_of_black_and_white(self, tmp_path: Path, suffix: str) -> None:
        truth = np.random.default_rng(0).integers(0, 2, (5, 6, 7)).astype(bool)
        for number, mask in enumerate(truth):
            Image.fromarray(np.full((6, 7), number, np.uint8)).save(tmp_path / f"i{number}.png")
            Image.fromarray((255 * mask).astype(np.uint8)).save(tmp_path / f"m{number}{suffix}")
        rows = [{"path": f"i{n}.png", "mask": f"m{n}{suffix}", "region": f"m{n}{suffix}"} for n in range(5)]
        path = self.write(tmp_path, rows)
        source = MaskTable(path=path, values=[0, 255])
        np.testing.assert_array_equal([source.sample(n).mask for n in range(5)], truth)
        np.testing.assert_array_equal(source.sample(2).region, truth[2])
        swapped = MaskTable(path=path, values=[255, 0])
        np.testing.assert_array_equal(swapped.sample(3).mask, ~truth[3])
        assert len({s.identity(3) for s in (source, swapped, MaskTable(path=path))}) == 3
        with pytest.raises(InputError, match=r"m1.*found 0, 255.*data\.source\.values=\[0,255\]"):
            MaskTable(path=path).sample(1)

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ([0, 255], r"a value for each class \(background, a, b\); got \[0, 255\]"),
            ([0, 9, 9], "another value for each class"),
            ([0, 1, 7], "expected the values 0, 1, 7 in a mask, found 0, 1, 2"),
        ],
    )
    def test_values_that_do_not_fit(self, tmp_path: Path, values: list[int], message: str) -> None:
        path = self.write(tmp_path, self.rows(tmp_path))
        with pytest.raises(InputError, match=message):
            MaskTable(path=path, classes=["background", "a", "b"], values=values).sample(0)

    def test_a_case_in_two_lines(self, tmp_path: Path) -> None:
        rows = self.rows(tmp_path)
        path = self.write(tmp_path, [*rows, rows[1]])
        with pytest.raises(InputError, match=r"cases\.csv: expected one line a case; .*i1.* \(lines 3, 7\)"):
            _ = MaskTable(path=path, classes=["background", "a", "b"]).cases

    def test_sites_and_columns(self, tmp_path: Path) -> None:
        rows = [
            {**row, "site": "ab"[n % 2], "age": "" if n == 3 else str(50 + n)}
            for n, row in enumerate(self.rows(tmp_path, 10))
        ]
        rows = [{**row, "subject": f"s{n}"} for n, row in enumerate(rows)]
        path, options = self.write(tmp_path, rows), {"classes": ["background", "a", "b"]}
        source = MaskTable(path=path, columns=Columns(names=["age"], missing="drop"), **options)
        assert source.spec.columns == ("age",)
        assert source.cases.subject.tolist() == [f"s{n}" for n in range(10) if n != 3]
        cases = assigned(source, leave_out="b", num_folds=3)
        assert sorted(cases.subject[cases.where("test")]) == ["s1", "s5", "s7", "s9"]
        assert MaskTable(path=self.write(tmp_path, self.rows(tmp_path)), **options).sites is None

    def test_what_a_fingerprint_depends_on(self, tmp_path: Path) -> None:
        """Which channel a file is of, and the values of columns that are used."""
        rows = [{**row, "subject": f"s{n}", "age": str(50 + n)} for n, row in enumerate(self.rows(tmp_path, 6))]

        def found(first: str, age: str, *names: str) -> str:
            changed = [{**rows[0], "path": first, "age": age}, *rows[1:]]
            options = {"classes": ["background", "a", "b"], "allow_incomplete": True}
            table = MaskTable(path=self.write(tmp_path, changed), columns=Columns(names=list(names)), **options)
            return table.fingerprint()["sha256"]

        assert found("i0.nii.gz|", "50") != found("|i0.nii.gz", "50")
        assert found("i0.nii.gz|", "50") == found("i0.nii.gz|", "51")
        assert found("i0.nii.gz|", "50", "age") != found("i0.nii.gz|", "51", "age")

    @pytest.mark.parametrize("intensity", ["percentiles", "zscore", "histogram"])
    def test_a_case_that_lacks_a_channel(self, tmp_path: Path, intensity: str) -> None:
        rows = self.rows(tmp_path, 6)
        rows[2]["path"], rows[4]["path"] = "|i2.nii.gz", "i4.nii.gz|"
        rows = [
            {**row, "subject": "", "split": split}
            for row, split in zip(rows, ["train"] * 4 + ["val", "test"], strict=True)
        ]
        path, options = self.write(tmp_path, rows), {"classes": ["background", "a", "b"]}
        with pytest.raises(InputError, match=r"no file of some channels of \|i2\.nii\.gz, i4\.nii\.gz\|; such cases"):
            _ = MaskTable(path=path, **options).entries
        source = MaskTable(path=path, allow_incomplete=True, **options)
        assert source.present is not None
        assert source.present[[1, 2, 4]].tolist() == [[True, True], [False, True], [True, False]]
        whole, part = source.sample(1), source.sample(2)
        assert not part.image[0].any()
        np.testing.assert_array_equal(part.image[1], volume(2)[0])
        prepare = Preparation(intensity=intensity)
        data = DataModule(source, prepare=prepare, patches=Patches(size=[8, 8, 8]), mean=0, std=1)
        data.prepare_data()
        np.testing.assert_allclose(
            prepare(part).image[1], prepare(replace(part, image=part.image[1:], absent=())).image[0]
        )
        train = [
            prepare(source.sample(row)).image[0] for row in (0, 1, 3)
        ]  # the channel's mean over those that have it
        batch = data.whole(2, torch.device("cpu"))
        assert batch["present"].tolist() == [[False, True]]
        assert batch["image"][0, 0].unique().tolist() == [pytest.approx(float(np.mean(train)), abs=1e-5)]
        assert float(batch["image"][0, 1].std()) > 0
        assert data.whole(1, torch.device("cpu"))["present"].all()
        assert whole.absent == ()
        rows[2]["path"] = "|"
        with pytest.raises(InputError, match=r"there is no image of \|"):
            _ = MaskTable(path=self.write(tmp_path, rows), allow_incomplete=True, **options).entries

    def test_volumes_are_turned_across_the_body_in_mm(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        rows = [{**row, "path": row["path"].split("|")[0]} for row in self.rows(tmp_path, 10)]
        for number, row in enumerate(rows):
            values, mask = volume(number)
            save_nifti(tmp_path / row["path"], values, np.diag([0.6, 0.7, 4, 1]))
            save_nifti(tmp_path / row["mask"], mask, np.diag([0.6, 0.7, 4, 1]))
        source = MaskTable(path=self.write(tmp_path, rows), classes=["background", "a", "b"])
        data = DataModule(
            source,
            prepare=Preparation(orientation="SLA", intensity="minmax"),
            patches=Patches(size=[8, 8, 8]),
            augment=Augment(rotate=15),
        )
        data.prepare_data()
        told: dict[str, Any] = {}
        monkeypatch.setattr(
            data.augment, "with_masks", lambda *parts, **known: told.update(known) or parts[:3], raising=False
        )
        data.trainer = SimpleNamespace(training=True, global_rank=0, world_size=1)  # type: ignore[assignment]
        patches = PatchDataset(data.prepared, data.patches, seed=0)[0]
        data.on_after_batch_transfer(data.transfer_batch_to_device(patches, torch.device("cpu"), 0), 0)
        assert told["plane"] == (1, 2)
        np.testing.assert_allclose(told["spacing"].numpy(), [[4, 0.6, 0.7]], rtol=1e-6)

    def test_a_table_without_masks_is_named(self, tmp_path: Path) -> None:
        path = self.write(tmp_path, [{"path": "a.nii", "masks": "b.nii"}])
        with pytest.raises(InputError, match="no column 'mask'; did you mean masks"):
            _ = MaskTable(path=path).cases

    @pytest.mark.parametrize("orientation", ["RAS", "ASL", None])
    def test_the_default_patch_has_the_axes_of_prepared_cases(self, tmp_path: Path, orientation: str | None) -> None:
        """Those of the file differ from them: here it counts down, then to the left, then to the front."""
        affine = np.zeros((4, 4))
        affine[2, 0], affine[0, 1], affine[1, 2], affine[3, 3] = -1, -1, 1, 1
        save_nifti(tmp_path / "image.nii.gz", np.arange(16.0 * 24 * 40).reshape(16, 24, 40), affine)
        save_nifti(tmp_path / "mask.nii.gz", np.ones((16, 24, 40), np.uint8), affine)
        rows = [{"path": "image.nii.gz", "mask": "mask.nii.gz", "split": "train"}]
        told = f"data.prepare.orientation={orientation or 'null'}"
        composed = compose(["data=mask_table", f"data.source.path={self.write(tmp_path, rows)}", told])
        prepared = Preparation(orientation=orientation)(MaskTable(path=tmp_path / "cases.csv").sample(0))
        assert tuple(composed.cfg.data.patches.size) == prepared.size

    @pytest.mark.parametrize("name", ["Region", " SUBJECT", "Split"])
    def test_a_column_that_would_not_count_is_named(self, tmp_path: Path, name: str) -> None:
        path = self.write(tmp_path, [{"path": "a.nii", "mask": "b.nii", name: "p"}])
        with pytest.raises(InputError, match=f"the column '{name.strip()}' would not count; call it"):
            _ = MaskTable(path=path).cases


def test_an_archive_that_leads_outside_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(tmp_path / "secret", "../outside")
    with pytest.raises(InputError, match=r"a\.tar"):
        unpack(tmp_path / "a.tar", tmp_path / "in" / "task")
    assert not (tmp_path / "outside").exists()
    assert not (tmp_path / "in" / "task").exists()


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"no archive")
    with pytest.raises(InputError, match=r"a\.tar: cannot be unpacked"):
        unpack(tmp_path / "a.tar", tmp_path / "task")
