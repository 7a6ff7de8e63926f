"""Boxes in pixels, in mm, and in an image that was resized: against nibabel, and against pixels themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from nibabel.affines import apply_affine
from PIL import Image

from fiducial.data.boxes import Boxes, Frame, from_mm, xyz
from fiducial.data.images import placement, read_image


def test_axes_are_named_from_the_last() -> None:
    np.testing.assert_array_equal(xyz(np.array([[1, 2, 5, 7]])), [[2, 1, 7, 5]])
    np.testing.assert_array_equal(xyz(np.array([[1, 2, 3, 5, 7, 9]])), [[3, 2, 1, 9, 7, 5]])
    there = np.random.default_rng(0).normal(size=(4, 6))
    np.testing.assert_array_equal(xyz(xyz(there)), there)


def test_no_boxes() -> None:
    none = Boxes.of([], [], 3)
    assert len(none) == 0
    assert none.corners.shape == (0, 6)
    assert Frame((1, 1, 1), (0, 0, 0), np.eye(4)).in_mm(none.corners).shape == (0, 6)
    assert xyz(none.corners).shape == (0, 6)


def test_mm_are_those_of_the_outer_faces_of_voxels() -> None:
    """The box of one voxel reaches half a voxel from its centre, which nibabel places."""
    affine = np.array([[0, 0, -1.5, 10], [0, -2.0, 0, 20], [3.0, 0, 0, 30], [0, 0, 0, 1]])
    voxel = np.array([2, 3, 4])
    corners = np.array([[*voxel, *(voxel + 1)]], np.float32)
    (box,) = Frame((1, 1, 1), (0, 0, 0), affine).in_mm(corners)
    centre = apply_affine(affine, voxel)
    np.testing.assert_allclose((box[:3] + box[3:]) / 2, centre)
    np.testing.assert_allclose(box[3:] - box[:3], [1.5, 2, 3])
    np.testing.assert_allclose(from_mm(box[None], affine), corners, atol=1e-5)


def test_a_box_in_a_turned_volume_is_what_holds_it() -> None:
    turn = np.deg2rad(30)
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    (box,) = Frame((1, 1, 1), (0, 0, 0), affine).in_mm(np.array([[0, 0, 0, 2, 1, 1]], np.float32))
    assert box[3] - box[0] == pytest.approx(2 * np.cos(turn) + np.sin(turn))
    assert box[5] - box[2] == pytest.approx(1)


@pytest.mark.parametrize(("policy", "size"), [("resize", (40, 60)), ("fit", (64, 64)), ("pad", (48, 64))])
def test_boxes_follow_an_image_that_is_brought_to_a_size(policy: str, size: tuple[int, int], tmp_path: Path) -> None:
    pixels = np.zeros((32, 48), np.uint8)
    pixels[8:24, 20:44] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    seen = read_image(tmp_path / "a.png", channels=1, size=size, policy=policy)[0]
    frame = Frame(*placement((32, 48), size, policy))
    own = np.array([[8, 20, 24, 44]], np.float32)
    rows, columns = (np.flatnonzero((seen > 127).any(axis=axis)) for axis in (1, 0))
    found = [rows[0], columns[0], rows[-1] + 1, columns[-1] + 1]
    np.testing.assert_allclose(frame.seen(own)[0], found, atol=0.51)
    np.testing.assert_allclose(frame.own(frame.seen(own)), own, atol=1e-4)


def test_the_place_of_what_the_network_sees() -> None:
    """A pixel of the resized image lies where its middle lies in the file."""
    affine = np.array([[0, 0, -1.5, 10], [0, -2.0, 0, 20], [3.0, 0, 0, 30], [0, 0, 0, 1]])
    frame = Frame((0.5, 2.0, 1.0), (4.0, 0.0, 3.0), affine)
    seen = np.array([[5, 6, 7, 6, 7, 8]], np.float32)
    middle = frame.own(seen)[0].reshape(2, 3).mean(axis=0) - 0.5
    np.testing.assert_allclose(apply_affine(frame.seen_affine, [5, 6, 7]), apply_affine(affine, middle), atol=1e-5)
