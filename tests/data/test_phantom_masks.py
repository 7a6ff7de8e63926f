"""Phantoms with masks: they mark what was drawn, and nothing else about phantoms changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from nibabel.orientations import aff2axcodes
from scipy import ndimage

from fiducial.data.checks import check
from fiducial.data.phantom import Phantom
from fiducial.data.phantom_masks import PhantomMasks
from fiducial.errors import InputError

OPTIONS: dict[str, Any] = {"num_subjects": 20, "size": [32, 32], "difficulty": 0.0, "noise": 0.0}


def test_images_are_those_of_the_phantom() -> None:
    masked, plain = PhantomMasks(prior=(0.5, 0.5), **OPTIONS), Phantom(prior=(0.5, 0.5), **OPTIONS)
    np.testing.assert_array_equal(masked.pixels(), plain.pixels())
    check(masked.cases, masked.spec)
    assert masked.fingerprint()["sha256"] != plain.fingerprint()["sha256"]


def test_a_mask_marks_the_lesion_and_nothing_without_one() -> None:
    """Without its lesions the same scene differs just where the mask is."""
    source = PhantomMasks(prior=(0.3, 0.7), **OPTIONS)
    for index in range(0, 40, 3):
        sample = source.sample(index)
        assert sample.mask is not None
        assert bool(sample.mask.any()) == bool(source._labels[index // 2])
        if sample.mask.any():
            inside = ndimage.binary_erosion(sample.mask > 0)
            around = ndimage.binary_dilation(sample.mask > 0, iterations=3) & (sample.mask == 0)
            if inside.sum() > 4:
                assert sample.image[0][inside].mean() > sample.image[0][around].mean()


def test_organs_have_their_sides() -> None:
    source = PhantomMasks(organs=True, **OPTIONS)
    mask = source.sample(0).mask
    assert mask is not None
    assert source.spec.classes == ("background", "left organ", "right organ", "lesion")
    assert np.argwhere(mask == 1)[:, 1].mean() > np.argwhere(mask == 2)[:, 1].mean()


def test_volumes_have_a_geometry() -> None:
    source = PhantomMasks(num_subjects=5, size=[8, 16, 16], spacing=[3, 1, 1.5])
    sample = source.sample(0)
    assert sample.spacing == pytest.approx((3, 1, 1.5))
    assert aff2axcodes(sample.affine) == ("S", "P", "L")
    assert PhantomMasks(num_subjects=5, size=[16, 16]).sample(0).affine is None


@pytest.mark.parametrize(
    "options", [{"target": "multilabel", "num_classes": 2}, {"spacing": [1, 0, 1]}, {"spacing": [1]}]
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="phantom_segmentation"):
        PhantomMasks(**OPTIONS, **options)
