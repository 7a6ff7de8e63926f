"""R2U-Net: recurrence and shortcuts written out by hand."""

from __future__ import annotations

import torch

from fiducial.models.r2unet import R2UNet, RecurrentConvolution, RecurrentResidualBlock


def test_recurrence_by_hand() -> None:
    """y0 = f(x), y1 = f(x + y0), y2 = f(x + y1), with one f."""
    layer = RecurrentConvolution(4, 2, steps=2).eval()
    image = torch.randn(2, 4, 8, 8)
    f = layer.convolution
    torch.testing.assert_close(layer(image), f(image + f(image + f(image))))


def test_steps_add_no_weights() -> None:
    few, many = (R2UNet(in_channels=3, num_outputs=2, steps=steps) for steps in (1, 4))
    assert [p.shape for p in few.parameters()] == [p.shape for p in many.parameters()]


def test_the_shortcut_by_hand() -> None:
    block = RecurrentResidualBlock(3, 6, 2, 2).eval()
    image = torch.randn(1, 3, 8, 8)
    entered = block.enter(image)
    torch.testing.assert_close(block(image), entered + block.body[1](block.body[0](entered)))


def test_parameters_by_hand() -> None:
    """A block: 1x1 into c, then two 3x3 of c to c with normalisation. Up: 3x3 with normalisation."""

    def conv(size: int, inputs: int, outputs: int) -> int:
        return size * size * inputs * outputs + outputs

    def block(inputs: int, outputs: int) -> int:
        return conv(1, inputs, outputs) + 2 * (conv(3, outputs, outputs) + 2 * outputs)

    def up(inputs: int, outputs: int) -> int:
        return conv(3, inputs, outputs) + 2 * outputs

    expected = block(3, 8) + block(8, 16) + up(16, 8) + block(16, 8) + conv(1, 8, 2)
    model = R2UNet(in_channels=3, num_outputs=2, channels=(8, 16))
    assert sum(parameter.numel() for parameter in model.parameters()) == expected


def test_volumes() -> None:
    model = R2UNet(in_channels=1, num_outputs=2, spatial_dims=3, channels=(2, 4), steps=1)
    assert model(torch.randn(2, 1, 8, 8, 4)).shape == (2, 2, 8, 8, 4)
