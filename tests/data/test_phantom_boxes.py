"""Phantoms with boxes: a box holds what was drawn, and nothing in it hints at the answer but the lesion itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from nibabel.orientations import aff2axcodes

from fiducial.data.anatomy import render
from fiducial.data.checks import check
from fiducial.data.phantom_boxes import PhantomBoxes
from fiducial.errors import InputError

OPTIONS: dict[str, Any] = {"num_subjects": 30, "images_per_subject": 1, "size": [48, 64]}


def test_a_box_holds_its_lesion_and_hardly_more() -> None:
    """Rendered without its lesions, the same scene differs inside the boxes, and by half a contrast at their edges."""
    source = PhantomBoxes(**OPTIONS)
    counts = []
    for index in range(len(source.cases)):
        scene, _ = source.scene(index)
        truth = source.truth(index)
        counts.append(len(truth))
        assert len(truth) == len(scene.lesions)
        for lesion, box in zip(scene.lesions, truth.corners.astype(int), strict=True):
            change = render(scene.anatomy, [lesion], scene.grid) - render(scene.anatomy, [], scene.grid)
            places = np.argwhere(change > 0.55 * change.max())
            assert (places.min(axis=0) >= box[:2]).all()
            assert (places.max(axis=0) < box[2:]).all()
            assert (np.ptp(places, axis=0) + 1 >= 0.5 * (box[2:] - box[:2])).all()
    assert set(counts) == {0, 1, 2, 3}


def test_images_are_the_same_whatever_is_learned() -> None:
    boxes, labels = PhantomBoxes(**OPTIONS), PhantomBoxes(target="binary", **OPTIONS)
    np.testing.assert_array_equal(boxes.pixels(), labels.pixels())
    there = [len(boxes.truth(index)) > 0 for index in range(30)]
    np.testing.assert_array_equal(labels.cases.label, there)
    assert not boxes.cases.label.any()
    assert labels.spec.classes == ("no lesion", "lesion")
    check(boxes.cases, boxes.spec)
    check(labels.cases, labels.spec)
    assert boxes.fingerprint()["sha256"] != labels.fingerprint()["sha256"]


def test_what_looks_alike_is_no_lesion() -> None:
    source = PhantomBoxes(num_distractors=4, prior=[1, 0], **OPTIONS)
    scene, _ = source.scene(0)
    assert sorted(spot.kind for spot in scene.spots) == ["bar"] * 4 + ["disc"] * 4
    assert all(len(source.truth(index)) == 0 for index in range(30))
    assert max(spot.radius for spot in scene.spots if spot.kind == "disc") < source.radius[0]


def test_classes_by_shape() -> None:
    source = PhantomBoxes(num_kinds=3, prior=[0, 1], **OPTIONS)
    assert source.spec.classes == ("disc", "ring", "cross")
    for index in range(10):
        names = [source.spec.classes[number] for number in source.truth(index).label]
        assert names == [lesion.kind for lesion in source.scene(index)[0].lesions]


def test_volumes_have_boxes_in_mm() -> None:
    source = PhantomBoxes(num_subjects=6, size=[12, 32, 32], spacing=[3, 1, 1.5], prior=[0, 1])
    frame = source.frame(0)
    assert frame.affine is not None
    assert aff2axcodes(frame.affine) == ("S", "P", "L")
    truth = source.truth(0)
    extent = truth.corners[:, 3:] - truth.corners[:, :3]
    in_mm = frame.in_mm(truth.corners)
    np.testing.assert_allclose(in_mm[:, 3:] - in_mm[:, :3], extent[:, ::-1] * [1.5, 1, 3], rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "multiclass"}, "target must be boxes or binary"),
        ({"max_lesions": 0}, "max_lesions must be 1 or more"),
        ({"radius": [0.3, 0.1]}, "radius must be"),
        ({"num_kinds": 11}, "num_kinds must be 1 to 9"),
        ({"spacing": [1, 0, 1]}, "spacing must be three lengths"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PhantomBoxes(**{**OPTIONS, **options})
