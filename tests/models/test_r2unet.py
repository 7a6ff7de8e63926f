"""R2U-Net: recurrence and shortcuts written out by hand."""

from __future__ import annotations

import torch

from fiducial.models.r2unet import R2UNet, RecurrentConvolution, RecurrentResidualBlock


def test_recurrence_by_hand() -> None:
    """y0 = f0(x), y1 = f1(x + y0), y2 = f2(x + y1), with one kernel and a normalisation each."""
    layer = RecurrentConvolution(4, 2, steps=2)
    image = torch.randn(2, 4, 8, 8)
    f0, f1, f2 = (torch.nn.Sequential(layer.kernel, norm, torch.nn.ReLU()) for norm in layer.norms)
    torch.testing.assert_close(layer(image), f2(image + f1(image + f0(image))))


def test_steps_add_no_kernels() -> None:
    few, many = (R2UNet(in_channels=3, num_outputs=2, steps=steps) for steps in (1, 4))
    kernels = [[p.shape for p in model.parameters() if p.ndim == 4] for model in (few, many)]
    assert kernels[0] == kernels[1]


def test_what_was_learned_of_a_batch_holds_in_evaluation() -> None:
    """Statistics that have seen one batch often are its own, for each step: it then gives the same either way."""
    layer = RecurrentConvolution(4, 2, steps=3)
    image = 5 * torch.randn(4, 4, 32, 32)
    with torch.no_grad():
        for _ in range(150):
            trained = layer(image)
        evaluated = layer.eval()(image)
    torch.testing.assert_close(evaluated, trained, rtol=0, atol=0.01)


def test_the_shortcut_by_hand() -> None:
    block = RecurrentResidualBlock(3, 6, 2, 2).eval()
    image = torch.randn(1, 3, 8, 8)
    entered = block.enter(image)
    torch.testing.assert_close(block(image), entered + block.body[1](block.body[0](entered)))


def test_parameters_by_hand() -> None:
    """A block: 1x1 into c, then two 3x3 of c to c with a normalisation a step. Up: 3x3 with normalisation."""

    def conv(size: int, inputs: int, outputs: int) -> int:
        return size * size * inputs * outputs + outputs

    def block(inputs: int, outputs: int) -> int:
        return conv(1, inputs, outputs) + 2 * (conv(3, outputs, outputs) + 3 * 2 * outputs)

    def up(inputs: int, outputs: int) -> int:
        return conv(3, inputs, outputs) + 2 * outputs

    expected = block(3, 8) + block(8, 16) + up(16, 8) + block(16, 8) + conv(1, 8, 2)
    model = R2UNet(in_channels=3, num_outputs=2, channels=(8, 16))
    assert sum(parameter.numel() for parameter in model.parameters()) == expected


def test_volumes() -> None:
    model = R2UNet(in_channels=1, num_outputs=2, spatial_dims=3, channels=(2, 4), steps=1)
    assert model(torch.randn(2, 1, 8, 8, 4)).shape == (2, 2, 8, 8, 4)
