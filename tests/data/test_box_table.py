"""Tables of images and boxes: what is read, and what is refused with its case and line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image

from fiducial.data.box_table import BoxTable
from fiducial.data.module import DataModule
from fiducial.errors import InputError

HEAD = "path,x_min,y_min,x_max,y_max,label"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Write ten pictures of 30 rows and 40 columns, and their table."""
    draw = np.random.default_rng(0)
    lines = ["path,subject"]
    for number in range(10):
        Image.fromarray(draw.integers(0, 255, (30, 40), dtype=np.uint8)).save(tmp_path / f"{number}.png")
        lines.append(f"{number}.png,p{number}")
    (tmp_path / "images.csv").write_text("\n".join(lines))
    return tmp_path


def table(place: Path, *lines: str, head: str = HEAD, **options: Any) -> BoxTable:
    (place / "boxes.csv").write_text("\n".join([head, *lines]))
    return BoxTable(path=place / "images.csv", boxes=place / "boxes.csv", **options)


def test_boxes_of_pictures(pictures: Path) -> None:
    source = table(pictures, "1.png,2,3,12,13.5,cyst", "1.png,0,0,40,30,tumour", "4.png,5,6,7,8,cyst")
    assert source.spec.target == "boxes"
    assert source.spec.classes == ("cyst", "tumour")
    truth = source.truth(1)
    np.testing.assert_allclose(truth.corners, [[3, 2, 13.5, 12], [0, 0, 30, 40]])
    np.testing.assert_array_equal(truth.label, [0, 1])
    assert len(source.truth(0)) == 0
    batch = DataModule(source, batch_size=3)
    batch.setup()
    assert batch.dataset is not None
    given = batch.dataset[1]
    assert isinstance(given, dict)
    np.testing.assert_allclose(given["boxes"][0].numpy(), [[3, 2, 13.5, 12], [0, 0, 30, 40]])
    assert batch.dataset[4]["box_label"].tolist() == [[0, -1]]  # type: ignore[index]


def test_closed_ends_are_the_last_pixels(pictures: Path) -> None:
    np.testing.assert_allclose(
        table(pictures, "1.png,2,3,11,12,a", ends="closed").truth(1).corners,
        table(pictures, "1.png,2,3,12,13,a").truth(1).corners,
    )


def test_one_table_with_a_line_a_box(pictures: Path) -> None:
    head = "path,split,x_min,y_min,x_max,y_max"
    lines = [head, "0.png,train,1,2,3,4", "0.png,train,5,6,7,8", "1.png,val,,,,"]
    (pictures / "one.csv").write_text("\n".join(lines))
    source = BoxTable(path=pictures / "one.csv")
    assert source.cases.case.tolist() == ["0.png", "1.png"]
    assert source.spec.classes == ("lesion",)
    np.testing.assert_allclose(source.truth(0).corners, [[2, 1, 4, 3], [6, 5, 8, 7]])
    assert len(source.truth(1)) == 0


def test_a_line_without_its_subject_is_refused(pictures: Path) -> None:
    lines = ["path,subject,x_min,y_min,x_max,y_max", "0.png,one,1,2,3,4", "1.png,,,,,"]
    (pictures / "one.csv").write_text("\n".join(lines))
    with pytest.raises(InputError, match=r"line 3: the subject is missing; give one to every line, or to none"):
        _ = BoxTable(path=pictures / "one.csv").cases


@pytest.mark.parametrize("name", ["Subject", "SPLIT", "Label", "Z_min"])
def test_a_column_that_would_not_count_is_named(pictures: Path, name: str) -> None:
    (pictures / "one.csv").write_text(f"path,{name},x_min,y_min,x_max,y_max\n0.png,a,1,2,3,4\n")
    with pytest.raises(InputError, match=f"the column '{name}' would not count; call it '{name.lower()}'"):
        _ = BoxTable(path=pictures / "one.csv").cases


def test_resized_pictures_have_resized_boxes(pictures: Path) -> None:
    source = table(pictures, "1.png,4,3,12,15,a", size=[60, 40])
    np.testing.assert_allclose(source.seen(1).corners, [[6, 4, 30, 12]])
    np.testing.assert_allclose(source.frame(1).own(source.seen(1).corners), source.truth(1).corners)


def test_labels_of_images(pictures: Path) -> None:
    source = table(pictures, "1.png,4,3,12,15,a", "7.png,4,3,12,15,a", target="binary")
    assert source.spec.target == "binary"
    assert np.flatnonzero(source.cases.label).tolist() == [1, 7]


def test_the_fingerprint_changes_with_a_box(pictures: Path) -> None:
    first = table(pictures, "1.png,4,3,12,15,a").fingerprint()
    second = table(pictures, "1.png,4,3,12,16,a").fingerprint()
    assert first["sha256"] != second["sha256"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1.png,35,3,45,10,a", r"line 3: case 1.png: the box \(x 35 to 45, y 3 to 10\) in pixels reaches out of its "),
        ("1.png,50,3,55,10,a", r"line 3: case 1.png: .* reaches out of its image of 40 × 30"),
        ("1.png,5,-4,9,10,a", "line 3: case 1.png: .* reaches out"),
        ("1.png,5,3,5,10,a", r"line 3: case 1.png: the box \(x 5 to 5, y 3 to 10\) has no area"),
        ("1.png,5,9,8,3,a", "line 3: case 1.png: .* has no area"),
        ("1.png,5,nan,8,3,a", "line 3: case 1.png: y_min must be a number; got 'nan'"),
        ("1.png,5,,8,3,a", "line 3: case 1.png: y_min is missing"),
        ("1.png,,,,,a", "line 3: case 1.png: there is no box in this line"),
        ("11.png,5,2,8,3,a", "line 3: case 11.png: there is no such image in the table of images; did you mean 1.png"),
        ("1.png,5,2,8,3,b", "line 3: case 1.png: label 'b' is none of the classes a"),
        ("1.png,5,2,8", "line 3: expected 6 values"),
    ],
)
def test_boxes_that_cannot_be_are_named(pictures: Path, line: str, message: str) -> None:
    data = DataModule(table(pictures, "0.png,1,1,5,5,a", line, classes=["a"]))
    with pytest.raises(InputError, match=message):
        data.prepare_data()


def test_boxes_that_reach_out_may_be_clipped(pictures: Path) -> None:
    source = table(pictures, "1.png,35,-3,45,10,a", outside="clip")
    np.testing.assert_allclose(source.truth(1).corners, [[0, 35, 10, 40]])
    with pytest.raises(InputError, match=r"reaches out of its image of 40 × 30$"):
        table(pictures, "1.png,45,3,55,10,a", outside="clip").truth(1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unit": "cm"}, "unit must be pixels or mm"),
        ({"ends": "open"}, "ends must be half_open or closed; got open"),
        ({"policy": "crop"}, "policy=crop would cut boxes off"),
        ({"label_column": "kind"}, "there is no column 'kind'"),
    ],
)
def test_options_that_cannot_be_are_refused(pictures: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        _ = table(pictures, "1.png,4,3,12,15,a", **options).spec


def test_pictures_have_no_mm(pictures: Path) -> None:
    with pytest.raises(InputError, match=r"case 1\.png: boxes in mm need a volume"):
        table(pictures, "1.png,4,3,12,15,a", unit="mm").truth(1)


def test_a_missing_column_is_named(pictures: Path) -> None:
    with pytest.raises(InputError, match="there is no column 'y_max'"):
        _ = table(pictures, "1.png,4,3,12", head="path,x_min,y_min,x_max").cases


def test_boxes_of_volumes_in_mm_and_in_pixels(tmp_path: Path) -> None:
    """A box around bright voxels, told in mm by nibabel's affine, is found where these are in the array."""
    affine = np.array([[-1.5, 0, 0, 30], [0, 2.0, 0, -20], [0, 0, 3.0, 7], [0, 0, 0, 1]])
    volume = np.zeros((16, 24, 8), np.uint8)
    volume[3:7, 10:15, 2:4] = 255
    nibabel.save(nibabel.Nifti1Image(volume, affine), tmp_path / "a.nii.gz")
    ends = np.stack([nibabel.affines.apply_affine(affine, np.array(v) - 0.5) for v in ((3, 10, 2), (7, 15, 4))])
    low, high = ends.min(axis=0), ends.max(axis=0)
    (tmp_path / "images.csv").write_text("path,split\na.nii.gz,train")
    head = "path,x_min,y_min,z_min,x_max,y_max,z_max"
    line = ",".join(["a.nii.gz", *(f"{end:g}" for end in (*low, *high))])
    source = table(tmp_path, line, head=head, unit="mm")
    (box,) = source.truth(0).corners
    np.testing.assert_allclose(box, [2, 10, 3, 4, 15, 7], atol=1e-4)
    image = source.read(0)[0]
    rounded = np.round(box).astype(int)
    assert (image[tuple(slice(*ends) for ends in zip(rounded[:3], rounded[3:], strict=True))] == 255).all()
    same = table(tmp_path, "a.nii.gz,3,10,2,6,14,3", head=head, ends="closed")
    np.testing.assert_allclose(same.truth(0).corners[0], box, atol=1e-4)
    np.testing.assert_allclose(source.frame(0).in_mm(source.truth(0).corners)[0], [*low, *high], atol=1e-4)
