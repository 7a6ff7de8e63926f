"""Patches: where they lie, what they hold, and that they follow from seed, epoch and item."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from masked_files import make_nnunet

from fiducial.data.augment import Augment, Sides
from fiducial.data.masked import MaskedSource
from fiducial.data.module import DataModule
from fiducial.data.nnunet_raw import NnunetRaw
from fiducial.data.patches import PatchDataset, Patches, WholeDataset
from fiducial.data.phantom_masks import PhantomMasks
from fiducial.data.preparation import Preparation
from fiducial.data.prepared import PreparedCases
from fiducial.data.sample import Sample
from fiducial.data.sampler import Portion
from fiducial.data.sides import mirrored_classes, sides_of
from fiducial.data.source import Cases, Spec
from fiducial.errors import InputError


class Ramp(MaskedSource):
    """Cases whose pixels tell where they lie: value = row * 100 + column, class 1 in one corner, 2 in one pixel."""

    def __init__(self, size: tuple[int, int] = (30, 40), *, labelled: bool = True) -> None:
        self.size, self.labelled = size, labelled

    @property
    def spec(self) -> Spec:  # type: ignore[override]
        return Spec(1, 2, self.size, "mask", ("background", "corner", "dot"))

    @property
    def cases(self) -> Cases:  # type: ignore[override]
        names = np.array(["a", "b", "c"])
        return Cases(names, names, np.array(["train", "val", "test"]), np.zeros(3, np.int64))

    def identity(self, index: int) -> str:
        return str(index)

    def fingerprint(self) -> dict[str, str]:
        return {"sha256": ""}

    def sample(self, index: int) -> Sample:
        rows, columns = np.indices(self.size)
        image = (rows * 100 + columns + 10_000 * index).astype(np.float32)
        mask = ((rows < 8) & (columns < 8)).astype(np.uint8)
        mask[-1, -1] = 2
        return Sample(image[None], mask if self.labelled else None, None if not self.labelled else columns > 2)


def dataset(source: MaskedSource, **options: Any) -> PatchDataset:
    patches = Patches(**{"size": [8, 12], "per_case": 4, **options})
    return PatchDataset(PreparedCases(source), patches, seed=3)


def batch_of(data: PatchDataset, items: list[int], epoch: int = 0) -> dict[str, Any]:
    found = data.__getitems__(Portion(items, epoch=epoch, size=len(items), valid=len(items)))
    assert isinstance(found, dict)
    return found


def test_a_patch_is_a_piece_of_its_case_with_its_mask_and_region() -> None:
    batch = batch_of(dataset(Ramp()), [0, 1, 5, 6])
    assert batch["image"].shape == (4, 1, 8, 12)
    assert batch["row"].tolist() == [0, 0, 1, 1]
    for image, mask, region, row in zip(batch["image"], batch["mask"], batch["region"], batch["row"], strict=True):
        values = image[0].long() - 10_000 * row
        rows, columns = values // 100, values % 100
        assert (rows == rows[:, :1]).all()
        assert (columns.diff(dim=1) == 1).all()
        expected = ((rows < 8) & (columns < 8)).long()
        expected[(rows == 29) & (columns == 39)] = 2
        assert (mask == expected).all()
        assert (region == (columns > 2)).all()


def test_patches_follow_from_seed_epoch_and_item_alone() -> None:
    whole = batch_of(dataset(Ramp()), [0, 1, 2, 3], epoch=2)
    parts = [batch_of(dataset(Ramp()), [item], epoch=2)["image"] for item in (0, 1, 2, 3)]
    assert torch.equal(whole["image"], torch.cat(parts))
    later = batch_of(dataset(Ramp()), [0, 1, 2, 3], epoch=3)
    assert not torch.equal(whole["image"], later["image"])


def test_fixed_patches_are_the_same_in_every_epoch() -> None:
    data = PatchDataset(PreparedCases(Ramp()), Patches(size=[8, 12]), seed=3, fixed=True)
    assert torch.equal(batch_of(data, [0, 1], 0)["image"], batch_of(data, [0, 1], 7)["image"])


def test_rare_classes_are_seen_as_often_as_large_ones() -> None:
    """Class 2 is one pixel of 1,200; half of the patches that are centred on a class hold it."""
    data = dataset(Ramp(), per_case=400, foreground=1.0)
    masks = batch_of(data, list(range(400)))["mask"].flatten(1)
    holds = [(masks == number).any(1).float().mean().item() for number in (1, 2)]
    assert holds[0] == pytest.approx(0.5, abs=0.08)
    assert holds[1] == pytest.approx(0.5, abs=0.08)
    alone = batch_of(dataset(Ramp(), per_case=400, foreground=0.0), list(range(400)))["mask"].flatten(1)
    assert (alone == 2).any(1).float().mean() < 0.05


def test_a_case_smaller_than_a_patch_lies_in_its_middle() -> None:
    batch = batch_of(dataset(Ramp((6, 10)), size=[10, 10]), [0])
    assert batch["image"].shape == (1, 1, 10, 10)
    assert batch["region"][0, :2].sum() == batch["region"][0, 8:].sum() == 0
    assert (batch["image"][0, 0, 2:8, 0] == torch.arange(6) * 100).all()
    assert (batch["image"][0, 0, 0] == batch["image"][0, 0, 2]).all()  # the border goes on


def test_the_truth_of_an_unlabelled_case_is_known_nowhere() -> None:
    batch = batch_of(dataset(Ramp(labelled=False), foreground=1.0), [0, 1])
    assert not batch["region"].any()
    assert not batch["mask"].any()


def test_a_whole_case() -> None:
    data = WholeDataset(PreparedCases(Ramp()))
    batch = data[1]
    assert isinstance(batch, dict)
    sample = Ramp().sample(1)
    assert sample.mask is not None
    np.testing.assert_array_equal(batch["image"][0], sample.image)
    np.testing.assert_array_equal(batch["mask"][0], sample.mask)
    assert batch["row"].tolist() == [1]


def test_patches_with_another_number_of_axes_are_named() -> None:
    found = dataset(Ramp(), size=[8, 8, 8])[0]
    assert isinstance(found, InputError)
    assert "2 extents" in str(found)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"size": [0, 4]}, "size"),
        ({"size": [4, 4], "per_case": 0}, "per_case"),
        ({"size": [4, 4], "foreground": 1.5}, "foreground"),
        ({"size": [4, 4], "window": [-1, 4]}, "window"),
    ],
)
def test_options_out_of_range_are_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=f"data.patches.{named}"):
        Patches(**options)


def test_a_class_absent_from_training_is_named(tmp_path: Path) -> None:
    labels = {"background": 0, "core": 1, "rim": 2, "cyst": 3}
    source = NnunetRaw(root=make_nnunet(tmp_path, labels=labels))
    data = DataModule(source, patches=Patches(size=[8, 8, 8]), batch_size=2)
    data.prepare_data()
    with pytest.raises(InputError, match="no training case has a pixel of class cyst"):
        data.train_dataloader()


def test_masks_need_patches_and_no_balanced_sampling(tmp_path: Path) -> None:
    source = NnunetRaw(root=make_nnunet(tmp_path))
    with pytest.raises(InputError, match=r"data\.patches"):
        DataModule(source).prepare_data()
    with pytest.raises(InputError, match=r"data\.patches\.foreground"):
        DataModule(source, patches=Patches(size=[8, 8, 8]), sampling="balanced").prepare_data()


def test_an_epoch_has_each_case_as_often_as_asked(tmp_path: Path) -> None:
    source = NnunetRaw(root=make_nnunet(tmp_path, 10))
    data = DataModule(source, patches=Patches(size=[8, 8, 8], per_case=3), batch_size=4)
    data.prepare_data()
    rows = torch.cat([batch["row"] for batch in data.train_dataloader()])
    assert rows.bincount().tolist().count(3) == len(source.cases.where("train")) == len(rows) / 3
    assert data.pixel_counts().tolist() == (len(rows) // 3 * np.bincount(_mask(source))).tolist()


def _mask(source: NnunetRaw) -> np.ndarray:
    mask = source.sample(0).mask
    assert mask is not None
    return mask.ravel()


# -- left and right ---------------------------------------------------------------------------------------


def test_mirrored_classes() -> None:
    assert mirrored_classes(["background", "Left Kidney", "right kidney", "spleen"]) == (0, 2, 1, 3)
    assert mirrored_classes(["background", "kidney_left", "kidney_right"]) == (0, 2, 1)
    assert mirrored_classes(["background", "cleft", "bright"]) == (0, 1, 2)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("LeftLung", "RightLung"),
        ("kidney_L", "kidney_R"),
        ("L kidney", "R kidney"),
        ("kidneyL", "kidneyR"),
        ("lkid", "rkid"),
        ("Left-Lateral-Ventricle", "Right-Lateral-Ventricle"),
        ("left_rib_1", "Right Rib 1"),
    ],
)
def test_how_sides_are_written(first: str, second: str) -> None:
    assert mirrored_classes(["background", first, "liver", second]) == (0, 3, 2, 1)
    assert mirrored_classes(["background", first, second], "none") == (0, 1, 2)


@pytest.mark.parametrize("alone", ["lkid", "kidney_L", "grade R", "RV", "cleft"])
def test_a_letter_alone_is_no_side(alone: str) -> None:
    assert mirrored_classes(["background", alone, "liver"]) == (0, 1, 2)


@pytest.mark.parametrize("names", [("heart_atrium_left", "heart_atrium_right"), ("left atrium", "right atrium")])
def test_the_sides_of_the_heart_are_no_mirror_images(names: tuple[str, str]) -> None:
    assert mirrored_classes([*names, "left lung", "right lung"]) == (0, 1, 3, 2)
    assert mirrored_classes(["LV", "MYO", "RV"]) == (0, 1, 2)


def test_ventricles_are_of_the_heart_or_of_the_brain() -> None:
    names = ["background", "left ventricle", "right ventricle"]
    with pytest.raises(InputError, match=r"'left ventricle' has a partner there in a brain, .*data\.sides=none, or th"):
        mirrored_classes(names)
    assert mirrored_classes(names, "none") == (0, 1, 2)
    assert mirrored_classes(names, names[1:]) == (0, 2, 1)
    assert sides_of([-1], axes=None, dims=3, classes=names, partners="none") == Sides(2, (0, 1, 2))


def test_classes_that_are_named_two_by_two() -> None:
    assert mirrored_classes(["background", "dexter", "sinister"], ["sinister", "dexter"]) == (0, 2, 1)
    for wrong, said in (
        (["a"], r"two by two, as in \[left lung,right lung\]; got \[a\]"),
        (["a", "a"], "two by two"),
        (["a", "c"], "'c' is none of the classes a, b"),
        ("non", "must be auto, none, or classes two by two; got non"),
    ):
        with pytest.raises(InputError, match=said):
            mirrored_classes(["a", "b"], wrong)
    with pytest.raises(InputError, match=r"data\.sides: 'lung' is none of the classes background, lesion"):
        DataModule(PhantomMasks(num_subjects=6, size=[8, 8]), sides=["lung", "lesion"])


def test_a_class_without_its_other_side_is_named() -> None:
    with pytest.raises(InputError, match=r"'left kidney' has a side, .*\(classes: background, left kidney\)"):
        mirrored_classes(["background", "left kidney"])


def test_only_flips_across_the_patient_exchange_sides() -> None:
    classes = ["background", "left", "right"]
    assert sides_of([0, 1], axes=None, dims=2, classes=classes) == Sides(1, (0, 2, 1))
    assert sides_of([0], axes=None, dims=2, classes=classes) is None
    assert sides_of([1, 2], axes="RAS", dims=3, classes=classes) is None
    assert sides_of([0], axes="RAS", dims=3, classes=classes) == Sides(0, (0, 2, 1))
    assert sides_of([-1], axes="SPL", dims=3, classes=["background", "left"][:1]) == Sides(2, (0,))
    assert sides_of([-1], axes=None, dims=3, classes=["background", "liver"]) == Sides(2, (0, 1))
    assert sides_of([], axes=None, dims=3, classes=classes) is None
    with pytest.raises(InputError, match=r"has a side, and which axis leads .* Give data.prepare.orientation"):
        sides_of([0], axes=None, dims=3, classes=classes)
    with pytest.raises(InputError, match="0 to 1; got 2"):
        sides_of([2], axes=None, dims=2, classes=classes)


@pytest.mark.parametrize(("size", "axes"), [([32, 32], None), ([16, 16, 16], "RAS")])
def test_pictures_are_not_brought_into_an_orientation(size: list[int], axes: str | None) -> None:
    source = PhantomMasks(num_subjects=6, size=size, organs=True)
    data = DataModule(source, prepare=Preparation(), patches=Patches(size=[8] * len(size)))
    assert data.axes == axes


def test_a_mirrored_patient_has_the_left_organ_on_the_left() -> None:
    source = PhantomMasks(num_subjects=6, size=[32, 32], organs=True)
    sample = source.sample(0)
    assert sample.mask is not None
    image = torch.from_numpy(sample.image)[None].float().repeat(64, 1, 1, 1)
    mask, region = (torch.from_numpy(part)[None].repeat(64, 1, 1) for part in (sample.mask, sample.mask >= 0))
    sides = sides_of([-1], axes=None, dims=2, classes=source.spec.classes)
    augment = Augment(flip_axes=[-1])
    found, masks, _ = augment.with_masks(image, mask, region, torch.Generator().manual_seed(0), sides)
    flipped = [not torch.equal(one, image[0]) for one in found]
    assert 10 < sum(flipped) < 54
    for one, was_flipped in zip(masks, flipped, strict=True):
        left, right = ((one == number).nonzero()[:, 1].float().mean() for number in (1, 2))
        assert left > right  # in the picture, as if the patient faced the viewer, whichever way it was mirrored
        expected = torch.from_numpy(np.array([0, 2, 1, 3])[sample.mask][:, ::-1].copy()) if was_flipped else mask[0]
        assert torch.equal(one, expected)


def test_masks_go_through_the_geometry_of_their_image() -> None:
    """An image made of its own mask still is after rotation, zoom and shift, but for its blurred edges."""
    mask = torch.zeros(8, 40, 40, dtype=torch.uint8)
    mask[:, 10:30, 15:22] = 1
    image = mask[:, None].float()
    augment = Augment(flip_axes=[0, 1], rotate=40, zoom=[0.8, 1.2], shift=0.1, probability=1.0)
    found, masks, region = augment.with_masks(image, mask, mask >= 0, torch.Generator().manual_seed(1))
    assert masks.dtype == torch.uint8
    assert 0.5 < region.float().mean() < 1  # corners come from beyond the border
    sure = region & ((found[:, 0] < 0.2) | (found[:, 0] > 0.8))
    assert (masks[sure] == found[:, 0][sure].round()).all()
    assert (masks != mask).any()


def test_what_comes_from_beyond_the_border_counts_nowhere() -> None:
    """A shift by a quarter leaves three quarters, each way."""
    image, mask = torch.rand(50, 1, 16, 16), torch.ones(50, 16, 16, dtype=torch.uint8)
    augment = Augment(shift=0.25, probability=1.0)
    _, masks, region = augment.with_masks(image, mask, mask > 0, torch.Generator().manual_seed(0))
    assert (masks[~region] == 0).all()
    assert (masks[region] == 1).all()
    share = region.float().mean((1, 2))
    assert 0.75**2 - 0.05 <= float(share.min()) < 0.7
    assert float(share.max()) > 0.9


def test_images_change_as_they_do_without_masks() -> None:
    image = torch.rand(5, 1, 16, 16)
    mask = torch.zeros(5, 16, 16, dtype=torch.uint8)
    augment = Augment(flip_axes=[-1], rotate=10, gamma=[0.8, 1.2], noise=0.1)
    alone = augment(image, torch.Generator().manual_seed(2))
    found, _, _ = augment.with_masks(image, mask, mask == 0, torch.Generator().manual_seed(2))
    assert torch.equal(found, alone)
