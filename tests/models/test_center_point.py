"""The centre-point network: its channels, its cells, and any backbone that gives a map."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fiducial.errors import InputError
from fiducial.models.center_point import CenterPoint
from fiducial.models.encoder_decoder import EncoderDecoder


@pytest.mark.parametrize("size", [(32, 48), (16, 24, 32)])
@pytest.mark.parametrize("stride", [1, 2, 4])
def test_cells_of_a_stride(size: tuple[int, ...], stride: int) -> None:
    dims = len(size)
    backbone = EncoderDecoder(in_channels=2, out_channels=6, spatial_dims=dims, widths=[4, 6, 8], stride=stride)
    model = CenterPoint(backbone=backbone, num_features=6, num_classes=3, spatial_dims=dims, head_width=4)
    output = model(torch.randn(2, 2, *size))
    assert output.shape == (2, 3 + 2 * dims, *(extent // stride for extent in size))
    output.sum().backward()
    assert all(weight.grad is not None for weight in model.parameters())


def test_heads_may_make_cells_wider() -> None:
    model = CenterPoint(backbone=nn.Conv2d(1, 5, 3, padding=1), num_features=5, num_classes=1, stride=2)
    assert model(torch.randn(1, 1, 20, 24)).shape == (1, 5, 10, 12)


def test_every_cell_starts_with_the_prior() -> None:
    backbone = EncoderDecoder(in_channels=1, out_channels=4, widths=[4, 4])
    model = CenterPoint(backbone=backbone, num_features=4, num_classes=2, prior=0.02)
    with torch.no_grad():
        model.heat[-1].weight.zero_()
    heat = model(torch.randn(1, 1, 16, 16))[:, :2].sigmoid()
    torch.testing.assert_close(heat, torch.full_like(heat, 0.02))


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match="stride must be one of 1, 2, 4"):
        EncoderDecoder(in_channels=1, out_channels=4, widths=[4, 4, 4], stride=3)
    with pytest.raises(InputError, match="prior must be between"):
        CenterPoint(backbone=nn.Identity(), num_features=4, num_classes=2, prior=1.0)
    with pytest.raises(InputError, match="at least 1"):
        CenterPoint(backbone=nn.Identity(), num_features=4, num_classes=0)
