from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn

from fiducial.data.perceptual import CORRELATION, DISTANCE, hashes, looks, near_pairs
from fiducial.data.phantom import Phantom

Change = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
PHANTOMS = 120


@pytest.fixture(scope="module")
def images() -> NDArray[np.uint8]:
    """Images of as many subjects, alike as those of one kind of examination are: none is a copy."""
    pixels = Phantom(num_subjects=PHANTOMS, images_per_subject=1, size=[64, 64], noise=0.02).pixels()
    assert pixels is not None
    return pixels[:, 0]


def pairs(images: NDArray[Any], kind: list[int] | None = None) -> set[tuple[int, int]]:
    found, correlation = near_pairs(looks(images[:, None]), kind or [0] * len(images))
    assert (correlation >= CORRELATION).all()
    return {(int(first), int(second)) for first, second in found}


def jpeg(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=30)
    return np.asarray(Image.open(file))


def smaller(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    small = Image.fromarray(image).resize((48, 48), Image.Resampling.BILINEAR)
    return np.asarray(small.resize((64, 64), Image.Resampling.BILINEAR))


def scaled(gain: float, offset: float) -> Change:
    return lambda image: (image * gain + offset).clip(0, 255).astype(np.uint8)


def noisy(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    noise = np.random.default_rng(1).normal(0, 5, image.shape)
    return (image + noise).clip(0, 255).astype(np.uint8)


def test_different_images_are_not_taken_for_copies(images: NDArray[np.uint8]) -> None:
    assert pairs(images) == set()


@pytest.mark.parametrize(
    ("change", "least"),
    [
        (jpeg, 18),
        (smaller, 18),
        (noisy, 18),
        (scaled(0.8, 40), 18),
        (scaled(0.7, 0), 18),
        (scaled(1.2, -10), 18),
        (lambda image: np.roll(image, 2, axis=0), 10),
    ],
    ids=["jpeg", "resized", "noise", "brighter", "flatter", "steeper", "shifted"],
)
def test_copies_are_found_and_nothing_else(images: NDArray[np.uint8], change: Change, least: int) -> None:
    copies = np.stack([change(image) for image in images[:20]])
    found = pairs(np.concatenate([images, copies]))
    known = {(number, PHANTOMS + number) for number in range(20)}
    assert found <= known, "only copies are found"
    assert len(found) >= least


def test_frequencies_are_those_of_scipy(images: NDArray[np.uint8]) -> None:
    low = dctn(images[3].astype(np.float64), type=2)[:8, :8].ravel()[1:]
    got = looks(images[3:4, None]).frequencies[0]
    np.testing.assert_allclose(got, low / np.linalg.norm(low), atol=1e-5)


def test_hash_is_the_sign_relative_to_the_median() -> None:
    frequencies = np.random.default_rng(0).normal(size=(9, 63)).astype(np.float32)
    frequencies[4] = np.nan
    code = hashes(frequencies)
    middle = np.nanmedian(frequencies, axis=0)
    for row in (0, 8):
        bits = "".join("1" if value > limit else "0" for value, limit in zip(frequencies[row], middle, strict=True))
        assert int(code[row]) == int(bits, 2)
    assert int(code[4]) == 2**64 - 1, "what shows nothing has a hash of its own"


def test_every_pair_within_reach_is_seen_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against all pairs, one by one."""
    from fiducial.data import perceptual

    monkeypatch.setattr(perceptual, "BLOCK", 7)
    code = np.random.default_rng(0).integers(0, 2**20, 60).astype(np.uint64)
    code[11] = 2**64 - 1
    got = {(int(a), int(b)) for part in perceptual._candidates(code) for a, b in part}
    values = [int(value) for value in code]
    wanted = {
        (a, b)
        for a in range(60)
        for b in range(a + 1, 60)
        if 11 not in (a, b) and (values[a] ^ values[b]).bit_count() <= DISTANCE
    }
    assert got == wanted


def test_blank_images_are_not_alike(images: NDArray[np.uint8]) -> None:
    blank = np.stack([np.full((64, 64), value, np.uint8) for value in (0, 0, 90)])
    assert pairs(np.concatenate([images[:30], blank])) == set()


def test_what_a_class_shares_does_not_count() -> None:
    """Two kinds of image: within a kind they differ in detail only, which is all that tells them apart."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:32, :32] / 32
    kinds = [200.0 * (rows > 0.5), 200.0 * (columns > 0.5)]
    smooth = [np.kron(rng.normal(0, 12, (8, 8)), np.ones((4, 4))) for _ in range(40)]
    images = np.stack([kinds[number % 2] + detail for number, detail in enumerate(smooth)]).astype(np.float32)
    assert pairs(images, [number % 2 for number in range(40)]) == set()


def test_volumes_have_thumbnails_too() -> None:
    volumes = Phantom(num_subjects=40, images_per_subject=1, size=[16, 32, 32], noise=0.02).pixels()
    assert volumes is not None
    darker = (volumes[:3] * np.float32(0.8) + 5).astype(np.uint8)
    found, _ = near_pairs(looks(np.concatenate([volumes, darker])), [0] * 43)
    assert {(int(a), int(b)) for a, b in found} == {(0, 40), (1, 41), (2, 42)}
