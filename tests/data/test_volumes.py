"""Volumes and their geometry against SimpleITK; files that cannot be used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - its own name for itself
from masked_files import OBLIQUE, save_nifti, volume
from PIL import Image

from fiducial.data.sample import Sample, as_mask, check_same_grid
from fiducial.data.volumes import (
    file_name,
    read_mask,
    read_picture_mask,
    read_volume,
    read_volumes,
    refuse_equal_names,
    write_mask,
)
from fiducial.errors import InputError

LPS = np.diag([-1.0, -1.0, 1.0])  # SimpleITK's axes lead to the left and the back


def itk_affine(image: sitk.Image) -> np.ndarray:
    """Return the affine to RAS+ that SimpleITK read."""
    affine = np.eye(4)
    direction = np.array(image.GetDirection()).reshape(3, 3)
    affine[:3, :3] = LPS @ direction @ np.diag(image.GetSpacing())
    affine[:3, 3] = LPS @ np.array(image.GetOrigin())
    return affine


def rotated() -> np.ndarray:
    """Return an affine of a rotation and a scale: SimpleITK takes no shear."""
    angle = 0.3
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-0.8, 1.1, 2.5])
    affine[:3, 3] = 3, -40, 7
    return affine


def test_values_and_geometry_are_those_of_simpleitk(tmp_path: Path) -> None:
    image, _ = volume(0)
    save_nifti(tmp_path / "a.nii.gz", image, rotated())
    values, affine = read_volume(tmp_path / "a.nii.gz")
    theirs = sitk.ReadImage(str(tmp_path / "a.nii.gz"))
    np.testing.assert_array_equal(values, sitk.GetArrayFromImage(theirs).T)
    np.testing.assert_allclose(affine, itk_affine(theirs), atol=1e-4)
    assert Sample(values[None], affine=affine).spacing == pytest.approx(theirs.GetSpacing())


def test_a_written_mask_lies_where_simpleitk_sees_its_image(tmp_path: Path) -> None:
    image, mask = volume(1)
    save_nifti(tmp_path / "image.nii.gz", image, rotated())
    sample = read_volumes((tmp_path / "image.nii.gz",), None, 3, "x")
    path = write_mask(tmp_path / "out" / "mask", mask, sample.affine)
    theirs, original = sitk.ReadImage(str(path)), sitk.ReadImage(str(tmp_path / "image.nii.gz"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(theirs).T, mask)
    assert theirs.GetSize() == original.GetSize()
    np.testing.assert_allclose(itk_affine(theirs), itk_affine(original), atol=1e-4)
    np.testing.assert_array_equal(read_mask(path), mask)
    assert [file.name for file in path.parent.iterdir()] == ["mask.nii.gz"]


def test_a_picture_mask_keeps_class_numbers_and_shows_them(tmp_path: Path) -> None:
    mask = np.arange(6, dtype=np.uint8).reshape(2, 3)
    path = write_mask(tmp_path / "mask", mask, None)
    np.testing.assert_array_equal(read_mask(path), mask)
    np.testing.assert_array_equal(read_picture_mask(path, 6), mask)
    with Image.open(path) as picture:
        assert picture.size == (3, 2)
        assert len(set(picture.convert("RGB").get_flattened_data())) == 6


def test_channels_along_the_fourth_axis_or_in_files(tmp_path: Path) -> None:
    parts = [volume(seed)[0] for seed in range(2)]
    save_nifti(tmp_path / "both.nii.gz", np.stack(parts, axis=-1))
    for number, part in enumerate(parts):
        save_nifti(tmp_path / f"{number}.nii.gz", part)
    both = read_volumes((tmp_path / "both.nii.gz",), None, 2, "x").image
    each = read_volumes((tmp_path / "0.nii.gz", tmp_path / "1.nii.gz"), None, 2, "x").image
    assert both.shape == (2, 10, 12, 8)
    np.testing.assert_array_equal(both, each)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii"])
@pytest.mark.parametrize("kept", [0, 200, 600])
def test_a_volume_that_is_cut_off_is_named(tmp_path: Path, suffix: str, kept: int) -> None:
    path = tmp_path / f"case7{suffix}"
    save_nifti(path, np.random.default_rng(0).integers(0, 999, (10, 12, 8)).astype(np.int16))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match=f"case7{suffix}"):
        read_volume(path)


def test_a_missing_volume_and_one_without_extent(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such volume"):
        read_volume(tmp_path / "none.nii.gz")
    save_nifti(tmp_path / "flat.nii", np.zeros((4, 4), np.int16))
    with pytest.raises(InputError, match="expected a volume"):
        read_volume(tmp_path / "flat.nii")


def test_a_mask_of_another_shape_is_named(tmp_path: Path) -> None:
    image, mask = volume(0)
    save_nifti(tmp_path / "image.nii.gz", image)
    save_nifti(tmp_path / "mask.nii.gz", mask[:-1])
    with pytest.raises(InputError, match=r"case c3, mask.*\(10, 12, 8\).*\(9, 12, 8\)"):
        read_volumes((tmp_path / "image.nii.gz",), tmp_path / "mask.nii.gz", 3, "c3")


@pytest.mark.parametrize(("shift", "refused"), [(0.02, False), (0.5, True)])
def test_a_mask_of_another_geometry_is_named(tmp_path: Path, shift: float, refused: bool) -> None:
    image, mask = volume(0)
    moved = OBLIQUE.copy()
    moved[0, 3] += shift
    save_nifti(tmp_path / "image.nii.gz", image, OBLIQUE)
    save_nifti(tmp_path / "mask.nii.gz", mask, moved)
    files = ((tmp_path / "image.nii.gz",), tmp_path / "mask.nii.gz", 3, "c3")
    if not refused:
        np.testing.assert_array_equal(read_volumes(*files).mask, mask)
        return
    with pytest.raises(InputError, match=r"another geometry.*0\.5 mm"):
        read_volumes(*files)


def test_a_flipped_mask_has_another_geometry() -> None:
    flipped = np.diag([-1.0, 1, 1, 1])
    flipped[0, 3] = 9
    with pytest.raises(InputError, match="another geometry"):
        check_same_grid(((10, 10, 10), np.eye(4)), ((10, 10, 10), flipped), "case 1")


@pytest.mark.parametrize(
    ("values", "found"), [([0, 1, 3], "found 0, 1, 3"), ([0, 0.5, 1], "found 0.5"), ([-1, 0], "-1")]
)
def test_values_that_are_no_class_numbers_are_named(values: list[float], found: str) -> None:
    with pytest.raises(InputError, match=found):
        as_mask(np.array(values), 2, "mask.nii.gz")


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32])
def test_stored_values_stand_for_classes(kind: type) -> None:
    truth = np.random.default_rng(0).integers(0, 3, (5, 7))
    stored = np.array([0, 255, 128], kind)[truth]
    np.testing.assert_array_equal(as_mask(stored, 3, "m.png", {0: 0, 255: 1, 128: 2}), truth)
    with pytest.raises(InputError, match=r"m\.png: expected the values 0, 255 in a mask, found 0, 128, 255"):
        as_mask(stored, 2, "m.png", {0: 0, 255: 1})


def test_values_of_other_masks_are_told_with_the_option_that_reads_them() -> None:
    with pytest.raises(InputError, match=r"found 0, 255\. .*data\.source\.values=\[0,255\]$"):
        as_mask(np.array([0, 255]), 2, "mask.png")
    with pytest.raises(InputError, match=r"found 0, 7, 9\. .*data\.source\.values=\[0,7,9\]$"):
        as_mask(np.array([9, 0, 7]), 3, "mask.png")


def test_a_picture_of_a_mask_has_its_suffix_once(tmp_path: Path) -> None:
    mask = np.zeros((2, 3), np.uint8)
    names = {case: write_mask(tmp_path / case, mask, None).name for case in ("i12.png", "i12.jpg", "i13")}
    assert names == {"i12.png": "i12.png", "i12.jpg": "i12.jpg.png", "i13": "i13.png"}
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(names.values())


def test_a_coloured_mask_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "mask.png")
    with pytest.raises(InputError, match="3 channels"):
        read_picture_mask(tmp_path / "mask.png", 2)


def test_names_of_cases_become_names_of_files() -> None:
    assert file_name("phantom/subject3/00") == "phantom_subject3_00"


def test_long_names_are_cut_and_stay_apart(tmp_path: Path) -> None:
    kinds = ("t1", "t2", "flair", "t1ce") * 3
    cases = ["|".join(f"some/folder/of/a/study/{kind}{n}.nii.gz" for kind in kinds) + "ü" * n for n in range(3)]
    names = [file_name(case) for case in cases]
    assert len(set(names)) == 3
    for name in names:
        (tmp_path / f"{name}.nii.gz").write_text("")
        (tmp_path / f"{name}.nii.gz.123456.partial").write_text("")
    refuse_equal_names(cases)


def test_cases_whose_masks_would_be_one_file_are_named() -> None:
    with pytest.raises(InputError, match="cases a/b and a_b"):
        refuse_equal_names(["a/b", "c", "a_b"])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([0, 1, 2, 3], r"data\.source\.classes names all of them, 4 or more, in order"),
        ([0, 2], r"data\.source\.classes names all of them, 3 or more"),
        ([0, 255], r"data\.source\.values names that of each class, in order: data\.source\.values=\[0,255\]"),
        ([0, 128, 255], r"data\.source\.values names that of each class"),
        ([0, np.inf], "class numbers; found inf"),
        ([0, 0.5], "class numbers; found 0.5"),
    ],
)
def test_what_would_fit_the_values_of_a_mask_is_said(values: list[float], said: str) -> None:
    with pytest.raises(InputError, match=said):
        as_mask(np.array(values), 2, "mask.png")
