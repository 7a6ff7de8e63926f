"""Orientation, spacing, intensities and the way back, against SimpleITK and NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - its own name for itself
from masked_files import OBLIQUE, volume
from nibabel.orientations import aff2axcodes
from scipy import ndimage

from fiducial.data.preparation import Preparation, restore
from fiducial.data.sample import Sample
from fiducial.errors import InputError


def sample(seed: int = 0, affine: Any = OBLIQUE) -> Sample:
    image, mask = volume(seed)
    return Sample(image[None].astype(np.float32), mask, mask > 0, np.asarray(affine, np.float64))


def places(case: Sample, number: int) -> np.ndarray:
    """Return where the voxels of a class lie, in mm, sorted."""
    assert case.mask is not None
    indices = np.argwhere(case.mask == number)
    found = (case.affine @ np.c_[indices, np.ones(len(indices))].T).T[:, :3]
    return found[np.lexsort(found.round(3).T)]


@pytest.mark.parametrize("orientation", ["RAS", "LPS", "SPL"])
def test_orientation_moves_no_voxel_in_the_patient(orientation: str) -> None:
    before = sample()
    after = Preparation(orientation=orientation)(before)
    assert "".join(aff2axcodes(after.affine)) == orientation
    for number in (1, 2):
        np.testing.assert_allclose(places(after, number), places(before, number), atol=1e-6)
    assert sorted(after.image.ravel()) == sorted(before.image.ravel())
    assert sorted(after.spacing) == pytest.approx(sorted(before.spacing))


def test_spacing_resamples_as_simpleitk_does() -> None:
    """A smooth image on an axis-parallel grid, away from the border."""
    affine = np.diag([1.0, 2.0, 3.0, 1.0])
    smooth = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(24, 20, 16)), 2).astype(np.float32)
    after = Preparation(orientation=None, spacing=1.5)(Sample(smooth[None], affine=affine))
    assert after.spacing == pytest.approx((1.5, 1.5, 1.5))
    image = sitk.GetImageFromArray(smooth.T)
    image.SetSpacing((1.0, 2.0, 3.0))
    origin, size = after.affine[:3, 3], after.size
    theirs = sitk.Resample(
        image, [int(n) for n in size], sitk.Transform(), sitk.sitkLinear, origin.tolist(), (1.5,) * 3
    )
    inner = (slice(2, -2),) * 3
    np.testing.assert_allclose(after.image[0][inner], sitk.GetArrayFromImage(theirs).T[inner], atol=1e-4)


def test_masks_stay_class_numbers() -> None:
    after = Preparation(spacing=1.1)(sample())
    assert after.mask is not None
    assert after.mask.dtype == np.uint8
    assert set(np.unique(after.mask)) == {0, 1, 2}
    voxel = np.prod(sample().spacing)
    before_mm, after_mm = (sample().mask > 0).sum() * voxel, (after.mask > 0).sum() * 1.1**3
    assert after_mm == pytest.approx(before_mm, rel=0.15)
    assert after.region is not None
    assert after.region.dtype == np.bool_


@pytest.mark.parametrize(
    ("intensity", "expected"),
    [
        ("zscore", lambda x: (x - x.mean()) / x.std()),
        ("minmax", lambda x: (x - x.min()) / (x.max() - x.min())),
        ([50, 200], lambda x: np.clip((x - 50) / 150, 0, 1)),
        ("percentiles", lambda x: np.clip((x - np.percentile(x, 0.5)) / np.ptp(np.percentile(x, [0.5, 99.5])), 0, 1)),
    ],
)
def test_intensities_by_hand(intensity: Any, expected: Any) -> None:
    before = sample()
    after = Preparation(orientation=None, intensity=intensity)(before)
    assert after.image.dtype == np.float32
    np.testing.assert_allclose(after.image, expected(before.image), atol=2e-3)


def test_channels_are_scaled_one_by_one() -> None:
    image = np.stack([volume(0)[0], 50 * volume(1)[0]]).astype(np.float32)
    for intensity in ("zscore", "histogram", "percentiles"):
        after = Preparation(orientation=None, intensity=intensity)(Sample(image, affine=np.eye(4)))
        alone = [
            Preparation(orientation=None, intensity=intensity)(Sample(part[None], affine=np.eye(4))).image[0]
            for part in image
        ]
        np.testing.assert_allclose(after.image, alone, atol=1e-5)


def test_a_histogram_is_equalised() -> None:
    skewed = np.random.default_rng(0).exponential(size=(1, 20, 20, 20)).astype(np.float32)
    after = Preparation(orientation=None, intensity="histogram")(Sample(skewed, affine=np.eye(4)))
    counts = np.histogram(after.image, bins=5, range=(0, 1))[0]
    assert counts.min() > 0.12 * skewed.size


def test_what_surrounds_the_body_is_cut_off() -> None:
    image = np.zeros((1, 20, 20, 20), np.float32)
    image[0, 4:15, 6:12, 3:18] = 100
    mask = (image[0] > 0).astype(np.uint8)
    before = Sample(image, mask, None, OBLIQUE)
    after = Preparation(orientation=None, crop_above=0)(before)
    assert after.size == (11, 6, 15)
    np.testing.assert_allclose(places(after, 1), places(before, 1), atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"orientation": "LPS"}, {"crop_above": 90.0}, {"orientation": None}])
def test_predictions_find_back_exactly_without_resampling(options: dict[str, Any]) -> None:
    before = sample()
    after = Preparation(**options)(before)
    flags = np.stack([after.mask == number for number in range(3)]).astype(np.float32)
    back = restore(flags, after.affine, (before.size, before.affine)).argmax(0)
    np.testing.assert_array_equal(back, before.mask)


def test_predictions_find_back_nearly_after_resampling() -> None:
    before = sample()
    after = Preparation(spacing=0.8)(before)
    flags = np.stack([after.mask == number for number in range(3)]).astype(np.float32)
    back = restore(flags, after.affine, (before.size, before.affine)).argmax(0)
    assert (back == before.mask).mean() > 0.97


def test_outside_the_prepared_grid_there_is_nothing() -> None:
    image = np.zeros((1, 12, 12, 12), np.float32)
    image[0, 4:8, 4:8, 4:8] = 1
    before = Sample(image, None, None, np.eye(4))
    after = Preparation(crop_above=0)(before)
    back = restore(np.ones((2, 4, 4, 4), np.float32), after.affine, (before.size, before.affine))
    np.testing.assert_array_equal(back[1] > 0.5, image[0] > 0)


def test_pictures_keep_their_grid() -> None:
    image = np.random.default_rng(0).integers(0, 255, (3, 9, 7)).astype(np.uint8)
    after = Preparation(intensity="minmax")(Sample(image, np.zeros((9, 7), np.uint8)))
    assert after.affine is None
    assert after.size == (9, 7)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"intensity": "zscores"}, "did you mean zscore"),
        ({"intensity": [200, 50]}, "low < high"),
        ({"orientation": "RAL"}, "three letters"),
        ({"spacing": [1, 0, 1]}, "lengths in mm"),
        ({"spacing": [1, 1]}, "lengths in mm"),
    ],
)
def test_options_that_cannot_be_used_are_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        Preparation(**options)


def test_the_key_follows_from_the_options() -> None:
    assert Preparation(spacing=1).key == Preparation(spacing=[1.0, 1.0, 1.0]).key
    assert len({Preparation(**options).key for options in ({}, {"spacing": 1}, {"intensity": "zscore"})}) == 3


def test_an_image_that_cannot_be_written_to_is_taken_and_left(recwarn: pytest.WarningsRecorder) -> None:
    image = np.arange(12, dtype=np.uint8).reshape(1, 3, 4)
    image.flags.writeable = False
    after = Preparation(orientation=None, intensity="minmax")(Sample(image))
    np.testing.assert_allclose(after.image[0], np.arange(12).reshape(3, 4) / 11, atol=1e-6)
    assert not recwarn.list
    assert image[0, 2, 3] == 11


def test_bytes_that_spacing_made_numbers_of_are_in_unit_range() -> None:
    """As bytes are that stay bytes: a network sees 0 to 1 either way."""
    volume = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 8), dtype=np.uint8)
    given = Sample(volume, None, None, np.diag([1.0, 1, 1, 1]))
    same = Preparation(spacing=(1.0, 1.0, 1.0))(given)
    np.testing.assert_allclose(same.image, volume / 255, atol=1e-5)
    assert Preparation()(given).image.dtype == np.uint8


def test_pictures_are_not_cropped() -> None:
    with pytest.raises(InputError, match=r"data\.prepare\.crop_above is for volumes"):
        Preparation(crop_above=0)(Sample(np.zeros((1, 8, 8), np.float32)))


def test_what_would_have_no_effect_is_refused() -> None:
    with pytest.raises(InputError, match=r"data\.prepare\.nonzero is for data\.prepare\.intensity=zscore; got minmax"):
        Preparation(nonzero=True, intensity="minmax")
    with pytest.raises(InputError, match=r"data\.prepare\.spacing is for volumes: pixels of pictures have no size"):
        Preparation(spacing=1.0)(Sample(np.zeros((1, 4, 5), np.uint8)))
