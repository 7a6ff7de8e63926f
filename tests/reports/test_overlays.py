"""Pictures of masks: colours where they belong, planes the right way up."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from fiducial.reports.figures import save
from fiducial.reports.figures.anatomical import canonical, three_planes
from fiducial.reports.figures.class_scores import class_scores
from fiducial.reports.figures.overlay import INVENTED, MISSED, SWAPPED, View, overlays, planes

TRUTH = np.array([[0, 1, 1], [0, 2, 0]], np.uint8)
PREDICTED = np.array([[1, 1, 0], [0, 1, 0]], np.uint8)


def view(**changes: object) -> View:
    given = {"title": "best", "image": np.full((2, 3), 100, np.uint8), "truth": TRUTH, "predicted": PREDICTED}
    return View(**{**given, **changes})  # type: ignore[arg-type]


def picture(figure: Figure, column: int) -> np.ndarray:
    return np.asarray(figure.axes[column].images[0].get_array())


def test_errors_have_their_colours() -> None:
    shown = picture(overlays([view()], ["background", "a", "b"]), 3)
    np.testing.assert_allclose(shown[0, 0], to_rgb(INVENTED), atol=1e-6)
    np.testing.assert_allclose(shown[0, 2], to_rgb(MISSED), atol=1e-6)
    np.testing.assert_allclose(shown[1, 1], to_rgb(SWAPPED), atol=1e-6)
    assert len({float(value) for value in shown[0, 1]}) == 1  # right: grey
    assert shown[0, 1, 0] > shown[1, 0, 0]


def test_the_legend_has_every_colour_of_the_error_column() -> None:
    figure = overlays([view()], ["background", "a", "b"])
    shown = picture(figure, 3)
    known = [patch.get_facecolor()[:3] for patch in figure.legends[0].get_patches()]
    for row, column in ((0, 0), (0, 1), (0, 2), (1, 1)):
        assert any(np.allclose(shown[row, column], colour, atol=1e-6) for colour in known), (row, column)


def test_one_case_of_one_class_has_a_name_and_a_scale() -> None:
    figure = class_scores({"dice": np.array([0.0]), "hd95": np.array([12.0])}, ["vessel"])
    dice, distance = figure.axes
    assert [label.get_text() for label in dice.get_xticklabels()] == ["vessel"]
    low, high = dice.get_ylim()
    assert -0.1 < low <= 0
    assert 1 <= high < 1.1
    low, high = distance.get_ylim()
    assert low <= 0
    assert high >= 12


def test_errors_outside_the_region_are_not_shown() -> None:
    region = np.array([[False, True, True], [True, True, True]])
    shown = picture(overlays([view(region=region)], ["background", "a", "b"]), 3)
    assert not np.allclose(shown[0, 0], to_rgb(INVENTED))


def test_voxels_outside_the_region_are_not_shown_and_choose_no_slice() -> None:
    volume, truth, predicted = (np.zeros((5, 6, 7), kind) for kind in (np.float32, np.uint8, np.uint8))
    region = np.ones(truth.shape, bool)
    truth[1:3, 2:4, 2] = 1
    predicted[:, :, 5], region[:, :, 5] = 1, False  # much is called where nothing counts
    axial, _, sagittal = three_planes(volume, truth, predicted, np.eye(4), region)
    assert axial.title == "axial 2"
    assert sagittal.region is not None
    assert not sagittal.region[1].any()  # the head is at the top: 6, 5, …
    assert sagittal.region[0].all()
    shown = picture(overlays([sagittal], ["background", "a"]), 3)
    assert not np.isclose(shown[1], to_rgb(INVENTED)).all(-1).any()


@pytest.mark.parametrize("shape", [(1, 6), (6, 1), (1, 1)])
def test_a_plane_one_pixel_wide_is_outlined(shape: tuple[int, int]) -> None:
    mask = np.ones(shape, np.uint8)
    cut = view(image=np.zeros(shape, np.uint8), truth=mask, predicted=mask)
    figure = planes([("best", [cut] * 3)], ["background", "a"])
    for axes in figure.axes:
        assert len(axes.collections) == 2  # truth and prediction, along the border
        assert axes.get_xlim() == (-0.5, shape[1] - 0.5)
        assert axes.get_ylim() == (shape[0] - 0.5, -0.5)


def test_masks_are_tinted_where_they_are() -> None:
    figure = overlays([view()], ["background", "a", "b"])
    for column, mask in ((1, TRUTH), (2, PREDICTED)):
        tinted = np.ptp(picture(figure, column), axis=2) > 0.05
        np.testing.assert_array_equal(tinted, mask > 0)


@pytest.mark.parametrize("codes", ["RAS", "LPS", "SPL", "AIR"])
def test_planes_are_the_right_way_up(codes: str) -> None:
    """One bright voxel at the patient's right, front, head: it is up, and at the viewer's left."""
    wanted = nibabel.orientations.axcodes2ornt("RAS")
    given = nibabel.orientations.axcodes2ornt(codes)
    spacing = np.diag([1.0, 2.0, 3.0, 1.0])
    ras = np.zeros((6, 7, 8), np.float32)
    ras[5, 6, 7] = 1
    change = nibabel.orientations.ornt_transform(wanted, given)
    volume = nibabel.orientations.apply_orientation(ras, change)
    affine = spacing @ nibabel.orientations.inv_ornt_aff(change, ras.shape)
    np.testing.assert_array_equal(canonical(volume, affine), ras)
    mask = (volume > 0).astype(np.uint8)
    axial, coronal, sagittal = three_planes(volume, mask, mask, affine)
    assert axial.image.shape == (7, 6)
    assert axial.image[0, 0] == 1  # front at the top, right at the left
    assert coronal.image.shape == (8, 6)
    assert coronal.image[0, 0] == 1  # head at the top
    assert sagittal.image.shape == (8, 7)
    assert sagittal.image[0, 0] == 1  # front at the left
    assert axial.spacing == pytest.approx((2.0, 1.0))
    assert coronal.spacing == pytest.approx((3.0, 1.0))
    assert sagittal.spacing == pytest.approx((3.0, 2.0))
    assert (axial.edges, sagittal.edges) == (("R", "L", "A", "P"), ("A", "P", "S", "I"))


def test_a_scale_bar_has_the_length_that_it_says() -> None:
    views = [view(spacing=(0.5, 0.5), image=np.zeros((60, 80), np.uint8), truth=np.zeros((60, 80), np.uint8))] * 3
    views = [View(v.title, v.image, v.truth, v.truth, spacing=v.spacing, edges=("R", "L", "A", "P")) for v in views]
    figure = planes([("best", views)], ["background", "a"])
    axes = figure.axes[0]
    (bar,) = axes.lines
    length = float(np.ptp(bar.get_xdata())) * 0.5
    assert f"{length:g} mm" in {text.get_text() for text in axes.texts}
    assert {"R", "L", "A", "P"} <= {text.get_text() for text in axes.texts}


def test_boxes_count_cases_without_a_score(tmp_path: Path) -> None:
    scores = {"dice": np.array([0.5, 0.6]), "dice/a": np.array([0.5, 0.7]), "dice/b": np.array([np.nan, 0.5])}
    figure = class_scores(scores, ["a", "b"])
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["a", "b\n1 of 2"]
    save(figure, tmp_path / "a.png")
    save(overlays([view(), view()], ["background", "a", "b"]), tmp_path / "b.png")
    assert (tmp_path / "b.png").stat().st_size > 1000
