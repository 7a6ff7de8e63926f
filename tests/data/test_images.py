"""Size, intensity and channel policies against PIL, SciPy and hand-made arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813  the name it goes by
from PIL import Image

from fiducial.data.images import check_options, read_image
from fiducial.errors import InputError

RNG = np.random.default_rng(1)


@pytest.fixture
def npy(tmp_path: Path) -> Any:
    """Write an array and read it as an image."""

    def read(array: np.ndarray, **options: Any) -> np.ndarray:
        path = tmp_path / "image.npy"
        np.save(path, array)
        return read_image(path, **{"channels": 1, "size": array.shape, **options})

    return read


def test_resize_is_pils(tmp_path: Path) -> None:
    picture = Image.fromarray(RNG.integers(0, 256, (30, 40, 3), np.uint8))
    picture.save(tmp_path / "picture.png")
    found = read_image(tmp_path / "picture.png", channels=3, size=(12, 10))
    expected = np.asarray(picture.resize((10, 12), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(found, np.moveaxis(expected, -1, 0))


def test_fit_keeps_the_aspect(npy: Any) -> None:
    wide = np.full((4, 8), 200, np.uint8)
    expected = np.zeros((1, 4, 4), np.uint8)
    expected[0, 1:3] = 200
    np.testing.assert_array_equal(npy(wide, size=(4, 4), policy="fit"), expected)


def test_pad_and_crop_are_centred(npy: Any) -> None:
    small = np.array([[1, 2], [3, 4]], np.uint8)
    padded = [[0, 0, 0, 0, 0], [0, 1, 2, 0, 0], [0, 3, 4, 0, 0], [0, 0, 0, 0, 0]]
    np.testing.assert_array_equal(npy(small, size=(4, 5), policy="pad")[0], padded)
    large = np.arange(20, dtype=np.uint8).reshape(4, 5)
    np.testing.assert_array_equal(npy(large, size=(2, 3), policy="crop")[0], [[6, 7, 8], [11, 12, 13]])
    mixed = [[0, 0], [1, 2], [6, 7], [11, 12], [16, 17], [0, 0]]  # cropped across, padded along
    np.testing.assert_array_equal(npy(large, size=(6, 2), policy="crop")[0], mixed)


def test_pad_refuses_a_larger_image(npy: Any) -> None:
    with pytest.raises(InputError, match=r"image\.npy: \(4, 5\) is larger than \(4, 4\); policy=pad only pads"):
        npy(np.zeros((4, 5), np.uint8), size=(4, 4), policy="pad")


def test_volume_is_resized_about_as_simpleitk_does(npy: Any) -> None:
    z, y, x = np.meshgrid(*(np.linspace(0, 1, n) for n in (12, 20, 24)), indexing="ij")
    volume = (np.sin(3 * x) + y * z + z).astype(np.float32)
    found = npy(volume, size=(6, 10, 12), intensity=[0, 3])[0] * 3

    image = sitk.GetImageFromArray(volume)
    grid = sitk.Image([12, 10, 6], sitk.sitkFloat32)
    grid.SetSpacing([2, 2, 2])
    grid.SetOrigin([0.5, 0.5, 0.5])  # pixels' outer edges coincide
    expected = sitk.GetArrayFromImage(sitk.Resample(image, grid))
    assert np.abs(found - expected)[1:-1, 1:-1, 1:-1].max() < 0.02


def test_volume_of_bytes_stays_bytes_and_even_grey_stays_even(npy: Any) -> None:
    found = npy(np.full((4, 6, 6), 77, np.uint8), size=(8, 3, 9))
    assert found.dtype == np.uint8
    assert found.shape == (1, 8, 3, 9)
    assert (found == 77).all()


def test_intensity(npy: Any) -> None:
    hounsfield = np.array([[-2000, -1000], [0, 1000]], np.int16)
    np.testing.assert_allclose(npy(hounsfield, intensity=[-1000, 1000])[0], [[0, 0], [0.5, 1]])
    np.testing.assert_allclose(npy(hounsfield, intensity="minmax")[0], [[0, 1 / 3], [2 / 3, 1]], rtol=1e-6)
    np.testing.assert_allclose(npy(np.array([[0, 13107]], np.uint16), intensity="dtype")[0], [[0, 0.2]])
    np.testing.assert_array_equal(npy(np.full((2, 2), 7.0), intensity="minmax"), np.zeros((1, 2, 2)))
    assert npy(np.zeros((2, 2), np.uint8)).dtype == np.uint8
    assert npy(hounsfield, intensity="minmax").dtype == np.float32


def test_intensity_must_be_chosen_for_other_than_bytes(npy: Any) -> None:
    with pytest.raises(InputError, match=r"values are uint16, from 3 to 9; say how .*intensity=minmax, dtype or"):
        npy(np.array([[3, 9]], np.uint16))
    with pytest.raises(InputError, match="intensity=dtype needs unsigned integers, got int16"):
        npy(np.array([[3, 9]], np.int16), intensity="dtype")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_pixels_that_are_no_numbers_are_refused(npy: Any, bad: float) -> None:
    with pytest.raises(InputError, match=r"image\.npy: the image holds 1 NaN or infinite values"):
        npy(np.array([[0, bad]]), intensity="minmax")


def test_channels(tmp_path: Path) -> None:
    colour = RNG.integers(0, 256, (3, 4, 3), np.uint8)
    Image.fromarray(colour).save(tmp_path / "colour.png")
    grey = read_image(tmp_path / "colour.png", channels=1, size=(3, 4))
    expected = np.asarray(Image.fromarray(colour).convert("L"))  # the same weights in fixed point
    assert grey.dtype == np.uint8
    assert np.abs(grey[0].astype(int) - expected).max() <= 1

    Image.fromarray(colour[..., 0]).save(tmp_path / "grey.png")
    repeated = read_image(tmp_path / "grey.png", channels=3, size=(3, 4))
    np.testing.assert_array_equal(repeated, np.stack([colour[..., 0]] * 3))
    with pytest.raises(InputError, match="expected 2 channels"):
        read_image(tmp_path / "colour.png", channels=2, size=(3, 4))


def test_number_of_axes_must_be_that_of_the_source(npy: Any) -> None:
    with pytest.raises(InputError, match=r"expected 2 spatial axes, as in data\.spec\.size, got 3"):
        npy(np.zeros((2, 2, 2), np.uint8), size=(2, 2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 64}, r"size must be \[rows, columns\] or .*got 64"),
        ({"size": [64]}, r"size must be"),
        ({"size": [0, 64]}, r"size must be"),
        ({"channels": 0}, r"channels must be at least 1; got 0"),
        ({"policy": "resise"}, r"policy must be resize, fit, pad, crop; got resise; did you mean resize\?"),
        ({"intensity": "min_max"}, r"got min_max; did you mean minmax\?"),
        ({"intensity": [5, 5]}, r"low < high; got \[5, 5\]"),
        ({"intensity": [1, 2, 3]}, r"got \[1, 2, 3\]"),
        ({"intensity": 5}, r"got 5"),
    ],
)
def test_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_options(**options)
