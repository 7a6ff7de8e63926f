from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from fiducial.data.augment import Augment, Sides, affine, rotation
from fiducial.errors import InputError
from fiducial.randomness import generator


def images(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def by_scipy(image: torch.Tensor, matrix: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Resample one channel at `matrix @ x + shift`, x from the centre, by SciPy."""
    centre = (np.array(image.shape) - 1) / 2
    offset = centre + shift - matrix @ centre
    return ndimage.affine_transform(image.double().numpy(), matrix, offset, order=1, mode="nearest")


@pytest.mark.parametrize("shape", [(16, 16), (12, 20), (9, 7), (6, 10, 8)])
@pytest.mark.parametrize("kind", ["zoom in", "zoom out", "shift", "rotation", "all"])
def test_affine_equals_scipy(shape: tuple[int, ...], kind: str) -> None:
    dims = len(shape)
    image = images(2, 3, *shape)
    zoom = {"zoom in": 1 / 1.2, "zoom out": 1.3, "all": 0.85}.get(kind, 1.0)
    angle = torch.tensor([0.4, -1.1]) if kind in ("rotation", "all") else torch.zeros(2)
    matrix = rotation(angle, dims, (dims - 2, dims - 1)) * zoom
    shift = torch.zeros(2, dims)
    if kind in ("shift", "all"):
        shift[0], shift[1] = torch.linspace(-1.3, 2.2, dims), torch.linspace(0.5, -3, dims)
    result = affine(image, matrix, shift)
    for case in range(2):
        for channel in range(3):
            expected = by_scipy(image[case, channel], matrix[case].numpy(), shift[case].numpy())
            np.testing.assert_allclose(result[case, channel].numpy(), expected, atol=2e-5)


@pytest.mark.parametrize("size", [8, 9])
@pytest.mark.parametrize("quarter", [1, 2, 3])
def test_quarter_turns_equal_rot90(size: int, quarter: int) -> None:
    image = images(2, 1, size, size)
    matrix = rotation(torch.full((2,), quarter * math.pi / 2), 2, (0, 1))
    torch.testing.assert_close(
        affine(image, matrix, torch.zeros(2, 2)), torch.rot90(image, -quarter, (2, 3)), atol=1e-5, rtol=0
    )


def test_rotation_keeps_angles_of_images_that_are_not_square() -> None:
    """A line along the first axis, turned by 90°, keeps its length in pixels."""
    image = torch.zeros(1, 1, 21, 41)
    image[0, 0, 6:15, 20] = 1
    turned = affine(image, rotation(torch.tensor([math.pi / 2]), 2, (0, 1)), torch.zeros(1, 2))
    expected = torch.zeros(1, 1, 21, 41)
    expected[0, 0, 10, 16:25] = 1
    torch.testing.assert_close(turned, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("axis", "dimension"), [(0, 2), (1, 3), (2, 4), (-1, 4), (-3, 2)])
def test_flip_equals_torch(axis: int, dimension: int) -> None:
    image = images(4, 2, 3, 5, 7)
    assert torch.equal(Augment(flip_axes=[axis], probability=1)(image, generator(0)), image.flip(dimension))
    assert torch.equal(Augment(flip_axes=[axis], probability=0)(image, generator(0)), image)


def test_flip_draws_each_image_alone() -> None:
    image = images(1, 1, 4, 4).expand(1000, -1, -1, -1)
    flipped = (Augment(flip_axes=[-1], probability=0.3)(image, generator(1)) != image).flatten(1).any(1).float().mean()
    assert flipped == pytest.approx(0.3, abs=0.05)


def test_nothing_asked_for_changes_nothing() -> None:
    image = images(3, 2, 8, 8)
    assert torch.equal(Augment()(image, generator(0)), image)
    assert torch.equal(Augment(flip_axes=[0], rotate=30, zoom=[0.5, 2], shift=0.2, probability=0)(image, generator(0))
                       .round(decimals=5), image.round(decimals=5))  # fmt: skip


EVERYTHING = {
    "flip_axes": [0, -1], "rotate": 40, "zoom": [0.7, 1.4], "shift": 0.2,
    "brightness": 0.1, "contrast": 0.3, "gamma": [0.7, 1.5], "noise": 0.1,
}  # fmt: skip


@pytest.mark.parametrize("shape", [(5, 1, 12, 9), (3, 2, 6, 7, 8)])
def test_result_follows_from_the_generator(shape: tuple[int, ...]) -> None:
    image, augment = images(*shape), Augment(**EVERYTHING)
    before = image.clone()
    one, same, other = (augment(image, generator("a", key)) for key in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(image, before), "the given images stay as they are"
    assert one.shape == image.shape
    assert one.dtype == torch.float32
    assert torch.isfinite(one).all()


def test_global_generator_is_left_alone() -> None:
    torch.manual_seed(0)
    state = torch.get_rng_state()
    Augment(**EVERYTHING)(images(2, 1, 8, 8), generator(0))
    assert torch.equal(torch.get_rng_state(), state)


def test_ranges_are_kept() -> None:
    """A point at a known place tells the zoom, shift and angle that were drawn."""
    augment = Augment(zoom=[0.8, 1.25], probability=1)
    ramp = torch.linspace(-1, 1, 65)[None, None, None].expand(400, 1, 65, 65)
    slopes = (augment(ramp, generator(3))[:, 0, 32, 40] - augment(ramp, generator(3))[:, 0, 32, 24]) / (16 / 32)
    magnification = 1 / slopes
    assert magnification.min() >= 0.8 - 1e-4
    assert magnification.max() <= 1.25 + 1e-4
    assert magnification.std() > 0.1
    shifted = Augment(shift=0.1, probability=1)(ramp, generator(4))[:, 0, 32, 32] * 32
    assert shifted.abs().max() <= 0.1 * 65 + 1e-3
    assert shifted.abs().max() > 5


def test_zoom_above_one_magnifies() -> None:
    image = torch.zeros(1, 1, 15, 15)
    image[..., 5:10, 5:10] = 1
    assert Augment(zoom=[1.5, 1.5], probability=1)(image, generator(0)).sum() > 1.8 * image.sum()


def test_intensity_changes_have_their_closed_form() -> None:
    image = images(50, 1, 6, 6)
    brighter = Augment(brightness=0.2)(image, generator(0)) - image
    torch.testing.assert_close(brighter, brighter[..., :1, :1].expand_as(image), atol=1e-6, rtol=0)
    assert 0.1 < brighter.abs().max() <= 0.2 + 1e-6
    contrast = Augment(contrast=0.5)(image, generator(0))
    mean = image.mean(dim=(1, 2, 3), keepdim=True)
    torch.testing.assert_close(contrast.mean(dim=(1, 2, 3), keepdim=True), mean)
    factor = (contrast - mean) / (image - mean)
    assert factor.min() >= 0.5 - 1e-3
    assert factor.max() <= 1.5 + 1e-3
    gamma = Augment(gamma=[0.5, 2])(image, generator(0)).log() / image.log()
    torch.testing.assert_close(gamma, gamma[..., :1, :1].expand_as(image), atol=1e-3, rtol=1e-3)
    noise = Augment(noise=0.1)(images(200, 1, 32, 32), generator(0)) - images(200, 1, 32, 32)
    spread = noise.flatten(1).std(1)
    assert spread.max() <= 0.11
    assert spread.mean() == pytest.approx(0.05, abs=0.01)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"zoom": [1.2, 0.8]}, "zoom"),
        ({"zoom": [0, 1]}, "zoom"),
        ({"gamma": [1.0]}, "gamma"),
        ({"probability": 1.5}, "probability"),
        ({"rotate": -1}, "negative"),
    ],
)
def test_bad_options(options: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Augment(**options)


@pytest.mark.parametrize("several", [False, True])
def test_a_mirrored_patient_has_the_label_of_the_other_side(several: bool) -> None:
    """Classes: heart, left lung, right lung; mirroring rows changes no side, and mirroring twice none either."""
    image, number = images(200, 1, 4, 6), torch.arange(200) % 3
    label = torch.nn.functional.one_hot(number, 3) if several else number
    augment, sides = Augment(flip_axes=[0, -1, -1]), Sides(1, (0, 2, 1))
    changed, found = augment.with_labels(image, label, generator(0), sides)
    assert torch.equal(changed, augment(image, generator(0)))
    pairs = zip(changed, image, strict=True)
    mirrored = torch.tensor(
        [torch.equal(new, old.flip(-1)) or torch.equal(new, old.flip(-1, -2)) for new, old in pairs]
    )
    assert 60 < mirrored.sum() < 140
    other = torch.tensor([0, 2, 1])[number]
    expected = torch.where(mirrored, other, number)
    assert torch.equal(found, torch.nn.functional.one_hot(expected, 3) if several else expected)
    assert torch.equal(augment.with_labels(image, label, generator(0))[1], label)


def axial_disc(spacing: tuple[float, ...], size: tuple[int, ...]) -> torch.Tensor:
    """Return a volume that any rotation about its third axis, in mm, leaves as it is."""
    x, y, z = np.meshgrid(
        *((np.arange(n) - (n - 1) / 2) * s for n, s in zip(size, spacing, strict=True)), indexing="ij"
    )
    return torch.from_numpy(np.exp(-(x**2 + y**2) / (2 * 9**2)) * (0.6 + 0.02 * z)).float()


def test_volumes_turn_about_the_axis_of_the_body_in_mm() -> None:
    spacing = (1.0, 2.0, 4.0)
    image = axial_disc(spacing, (64, 32, 8)).expand(4, 1, 64, 32, 8)
    mask = (image[:, 0] > 0.3).to(torch.uint8)
    turn = Augment(rotate=80, probability=1)
    known = {"plane": (0, 1), "spacing": torch.tensor(spacing).expand(4, 3)}
    found, turned, region = turn.with_masks(image, mask, mask * 0 + 1, generator(0), **known)
    inside = region[:, 20:44, 10:22]
    assert bool(inside.all())
    torch.testing.assert_close(found[:, :, 20:44, 10:22], image[:, :, 20:44, 10:22], atol=0.02, rtol=0)
    assert float((turned != mask).float().mean()) < 0.01
    in_voxels = turn.with_masks(image, mask, mask * 0 + 1, generator(0), plane=(0, 1))[1]
    assert float((in_voxels != mask).float().mean()) > 0.05  # a circle in mm is an ellipse in voxels
    ramp = torch.arange(64.0)[:, None, None].expand(64, 32, 8)  # what turns is no symmetry of everything
    moved = turn.with_masks(ramp.expand(4, 1, 64, 32, 8), mask, mask, generator(0), **known)[0]
    assert float((moved[:, 0, 32, 24] - moved[:, 0, 32, 8]).abs().min()) > 1


def test_pictures_turn_as_before_whatever_their_pixels_measure() -> None:
    image, mask = images(3, 1, 12, 10), torch.ones(3, 12, 10, dtype=torch.uint8)
    turn = Augment(rotate=30, zoom=[0.9, 1.2], probability=1)
    told = turn.with_masks(image, mask, mask, generator(3), spacing=torch.ones(3, 2))
    for one, other in zip(told, turn.with_masks(image, mask, mask, generator(3)), strict=True):
        assert torch.equal(one, other)


def test_gamma_of_standardised_images_erases_nothing() -> None:
    image = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    changed = Augment(gamma=[1.5, 1.5])(image, generator(0))
    for before, after in zip(image, changed, strict=True):
        low, high = before.min().clamp(max=0), before.max().clamp(min=1)
        torch.testing.assert_close((after - low) / (high - low), ((before - low) / (high - low)) ** 1.5)
        assert torch.equal(before.flatten().argsort(), after.flatten().argsort())
    dark = images(2, 1, 8, 8) * 0.5  # within 0..1 it is the exponent alone
    torch.testing.assert_close(Augment(gamma=[2, 2])(dark, generator(0)), dark**2)


def test_flip_axis_that_images_do_not_have() -> None:
    with pytest.raises(InputError, match="2 axes"):
        Augment(flip_axes=[2])(images(1, 1, 4, 4), generator(0))


@pytest.mark.parametrize("seed", range(5))
def test_frames_of_a_sequence_move_alike_and_padding_changes_nothing(seed: int) -> None:
    options = {**EVERYTHING, "flip_axes": [-1, -2], "noise": 0.0, "probability": 1.0}
    still = images(2, 1, 1, 12, 9).expand(-1, -1, 4, -1, -1)
    length = torch.tensor([4, 2])
    sequence = still * (torch.arange(4) < length[:, None]).view(2, 1, 4, 1, 1)
    longer = torch.cat([sequence, torch.zeros(2, 1, 5, 12, 9)], dim=2)
    one, padded = (Augment(**options)(image, generator(seed), length) for image in (sequence, longer))
    for case, frames in enumerate(length.tolist()):
        valid = one[case, :, :frames]
        torch.testing.assert_close(valid, valid[:, :1].expand(-1, frames, -1, -1), atol=1e-5, rtol=0)
        torch.testing.assert_close(padded[case, :, :frames], valid, atol=1e-5, rtol=0)
        assert not torch.allclose(valid, still[case, :, :frames], atol=0.01)


@pytest.mark.parametrize("axis", [0, -3])
def test_frames_keep_their_order(axis: int) -> None:
    with pytest.raises(InputError, match="first axis of sequences runs over their frames"):
        Augment(flip_axes=[1, axis]).refuse_frames()
    Augment(flip_axes=[1, -1]).refuse_frames()
