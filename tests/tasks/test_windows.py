"""Whole images from windows: what a network of one pixel gives must not depend on the windows."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fiducial.data.augment import Sides
from fiducial.tasks.windows import Windows


def pixelwise(image: Tensor) -> Tensor:
    """A network that sees one pixel: logits of two classes."""
    return torch.cat([-image, image], dim=1)


@pytest.mark.parametrize("size", [(40, 33), (8, 9), (16, 16), (7, 50)])
@pytest.mark.parametrize("flips", [(), (0,), (0, 1)])
def test_windows_of_a_pixelwise_network_give_the_whole(size: tuple[int, int], flips: tuple[int, ...]) -> None:
    image = torch.randn(1, 1, *size, generator=torch.Generator().manual_seed(0))
    found = Windows([16, 16], flips=flips)(pixelwise, image)
    torch.testing.assert_close(found, pixelwise(image).softmax(1), atol=1e-5, rtol=1e-4)


def test_a_volume() -> None:
    image = torch.randn(1, 1, 11, 20, 14, generator=torch.Generator().manual_seed(0))
    found = Windows([8, 8, 8], flips=(2,), at_once=3)(pixelwise, image)
    torch.testing.assert_close(found, pixelwise(image).softmax(1), atol=1e-5, rtol=1e-4)


def test_the_middle_of_a_window_counts_most() -> None:
    """A network that is sure of class 1 at its window's border only: the middle of other windows outvotes it."""

    def border(window: Tensor) -> Tensor:
        logits = torch.zeros(len(window), 2, *window.shape[2:])
        logits[:, 0], logits[:, 1] = 9, -9
        logits[:, :, :2], logits[:, :, -2:] = -logits[:, :, :2], -logits[:, :, -2:]
        return logits

    found = Windows([16, 16], overlap=0.75)(border, torch.zeros(1, 1, 64, 16))[0, 1]
    assert float(found[16:48, 4:12].max()) < 0.05  # a plain mean would have 0.25
    assert float(found[:2, 4:12].min()) > 0.5  # at the image's own border there is no other


def left_half(image: Tensor) -> Tensor:
    """A network that calls the left half of what it sees class 1, and the right half class 2."""
    logits = torch.full((len(image), 3, *image.shape[2:]), -9.0)
    half = image.shape[-1] // 2
    logits[:, 1, ..., :half] = logits[:, 2, ..., half:] = 9
    return logits


def test_mirroring_from_side_to_side_exchanges_classes_of_sides() -> None:
    image = torch.zeros(1, 1, 8, 8)
    plain = Windows([8, 8])(left_half, image)
    right = Windows([8, 8], flips=[1], sides=Sides(1, (0, 2, 1)))(left_half, image)
    torch.testing.assert_close(right, plain)
    wrong = Windows([8, 8], flips=[1])(left_half, image)
    assert float((wrong[:, 1] - 0.5).abs().max()) < 1e-3
    along = Windows([8, 8], flips=[0], sides=Sides(1, (0, 2, 1)))(left_half, image)
    torch.testing.assert_close(along, plain)


def test_all_mirrored_views_are_averaged() -> None:
    """A network that sees columns: the mean over both directions by hand."""

    def columns(image: Tensor) -> Tensor:
        ramp = torch.linspace(-1, 1, image.shape[-1]).expand(image.shape[2:])
        return torch.stack([-ramp, ramp])[None].expand(len(image), -1, -1, -1)

    found = Windows([4, 6], flips=[1])(columns, torch.zeros(1, 1, 4, 6))
    once = columns(torch.zeros(1, 1, 4, 6)).softmax(1)
    torch.testing.assert_close(found, (once + once.flip(-1)) / 2)
