from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fiducial.data.image_folder import ImageFolder
from fiducial.errors import InputError


def draw(path: Path, grey: int, size: tuple[int, int] = (4, 6)) -> None:
    """Write an even picture of `size` (rows, columns)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(size, grey, np.uint8)).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes, five subjects with two pictures each."""
    for number in range(5):
        for view in range(2):
            draw(tmp_path / "b_ill" / f"P{number}_{view}.png", 100 + 10 * number + view)
            draw(tmp_path / "a_well" / f"Q{number}_{view}.png", 10 * number + view)
    return tmp_path


def test_classes_are_folders_in_alphabetical_order(root: Path) -> None:
    draw(root / ".cache" / "thumb.png", 0)
    draw(root / "b_ill" / ".hidden.png", 0)
    (root / "b_ill" / "notes.txt").write_text("no image")
    source = ImageFolder(root=root, modality="X-ray")
    assert source.spec.classes == ("a_well", "b_ill")
    assert (source.spec.target, source.spec.size, source.spec.channels) == ("binary", (4, 6), 1)
    assert source.spec.modality == "X-ray"
    cases = source.cases
    assert len(cases) == 20
    assert cases.case[0] == "a_well/Q0_0.png"
    np.testing.assert_array_equal(cases.label, [0] * 10 + [1] * 10)
    assert source.read(13)[0, 0, 0] == 111


def test_third_class_makes_it_multiclass_and_folders_are_searched_deep(root: Path) -> None:
    draw(root / "c_other" / "2024" / "may" / "R0.PNG", 5)
    source = ImageFolder(root=root)
    assert source.spec.target == "multiclass"
    assert source.cases.case[-1] == "c_other/2024/may/R0.PNG"


@pytest.mark.parametrize("names", [("Training", "Testing"), ("Train", "Val", "Test"), ("valid", "other")])
def test_folders_that_are_splits_of_another_name_are_no_classes(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        draw(tmp_path / name / "ill" / "1.png", 3)
    with pytest.raises(
        InputError, match=f"folder .*{names[0]}.*, which would be a class: folders of splits are train, val"
    ):
        _ = ImageFolder(root=tmp_path).spec


@pytest.mark.parametrize("end", ["_mask", "_mask_1", "-seg", " Label"])
def test_masks_beside_their_images_are_no_cases(root: Path, end: str) -> None:
    draw(root / "b_ill" / f"P3_1{end}.png", 255)
    draw(root / "a_well" / "lonely_mask.png", 255)  # of nothing that is here: it may be what the set is about
    with pytest.raises(InputError, match=r"P3_1.*\.png seems to be a mask of P3_1 .*data\.source\.exclude="):
        _ = ImageFolder(root=root).cases
    kept = ImageFolder(root=root, exclude="(?i)[_ -](mask|seg|label)").cases.case.tolist()
    assert len(kept) == 20
    with pytest.raises(InputError, match="no regular expression"):
        ImageFolder(root=root, exclude="(")


def test_subject_from_the_name_keeps_its_images_together(root: Path) -> None:
    cases = ImageFolder(root=root, subject="^([PQ][0-9])_").cases
    assert sorted(set(cases.subject)) == [f"{kind}{number}" for kind in "PQ" for number in range(5)]
    for subject in set(cases.subject):
        assert len(set(cases.split[cases.subject == subject])) == 1
    alone = ImageFolder(root=root).cases
    np.testing.assert_array_equal(alone.subject, alone.case)


def test_split_folders_are_kept(tmp_path: Path) -> None:
    for number, split in enumerate(("train", "val", "test")):
        for name in ("x", "y"):
            draw(tmp_path / split / name / f"{number}.png", number)
    cases = ImageFolder(root=tmp_path).cases
    assert cases.split.tolist() == ["train", "train", "val", "val", "test", "test"]
    assert cases.label.tolist() == [0, 1] * 3


@pytest.mark.parametrize("present", [("train",), ("train", "test"), ("val", "test")])
def test_incomplete_split_folders_are_not_taken_for_classes(tmp_path: Path, present: tuple[str, ...]) -> None:
    for split in present:
        draw(tmp_path / split / "x" / "0.png", 0)
    with pytest.raises(InputError, match=f"has a folder {' and '.join(present)}: expected all of train, val, test"):
        _ = ImageFolder(root=tmp_path).classes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"subject": "P("}, r"subject='P\(' is no regular expression"),
        ({"subject": "P[0-9]+"}, "needs a group"),
        ({"policy": "squash"}, "policy must be"),
        ({"fractions": (0.5, 0.5)}, "three positive numbers"),
    ],
)
def test_options_are_checked_at_once(root: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ImageFolder(root=root, **options)


def test_bad_folders(root: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must be a folder of images; .*nowhere is not one"):
        ImageFolder(root=root / "nowhere")
    with pytest.raises(InputError, match="at least two classes; found: none"):
        _ = ImageFolder(root=root / "b_ill").classes
    (root / "empty").mkdir()
    with pytest.raises(InputError, match="no image in the folder of class empty"):
        _ = ImageFolder(root=root).files


def test_name_without_subject_is_told(root: Path) -> None:
    with pytest.raises(InputError, match=r"Q0_0\.png: data\.source\.subject='\(P.\)' finds no subject"):
        _ = ImageFolder(root=root, subject="(P.)").cases
    with pytest.raises(InputError, match=r"Q0_0\.png: .* finds no subject"):  # a group that takes no part
        _ = ImageFolder(root=root, subject="(P.)?").cases


def test_damaged_image_is_named_with_its_case(root: Path, tmp_path: Path) -> None:
    (root / "b_ill" / "P3_1.png").write_bytes(b"broken")
    source = ImageFolder(root=root)
    with pytest.raises(InputError, match=r"case b_ill/P3_1\.png: .*P3_1\.png: the image cannot be read"):
        source.read(17)
    with pytest.raises(InputError, match=r"case b_ill/P3_1\.png: "):
        ImageFolder(root=root, cache=tmp_path / "cache").pixels()


def test_folders_behind_links_are_looked_into(tmp_path: Path) -> None:
    """And one that leads back to where it is is not followed for ever."""
    (tmp_path / "elsewhere").mkdir()
    for name in ("a", "b"):
        (tmp_path / "root" / name).mkdir(parents=True)
        Image.new("L", (4, 4)).save(tmp_path / "root" / name / "own.png")
    Image.new("L", (4, 4), 9).save(tmp_path / "elsewhere" / "linked.png")
    (tmp_path / "root" / "a" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "root" / "a")
    source = ImageFolder(root=tmp_path / "root", size=[4, 4], fractions=(0.34, 0.33, 0.33))
    assert source.cases.case.tolist() == ["a/more/linked.png", "a/own.png", "b/own.png"]
