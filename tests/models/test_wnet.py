"""W-net: size, and how its two networks are joined."""

from __future__ import annotations

import pytest
import torch

from fiducial.models.wnet import TinyUNet, WNet


def count(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_parameters_by_hand() -> None:
    """Blocks of 888, 3,728 and 14,624 down, 11,984 and 3,048 up, and 9 a class."""
    first = TinyUNet(in_channels=3, num_outputs=1)
    assert count(first) == 888 + 3728 + 14624 + 11984 + 3048 + 9
    assert 68_000 < count(WNet(in_channels=3, num_outputs=2)) < 69_000


def test_both_outputs_are_trained_and_the_second_is_the_answer() -> None:
    model = WNet(in_channels=3, num_outputs=2)
    image = torch.randn(2, 3, 16, 24)
    late, early = model(image)
    torch.testing.assert_close(early, model.first(image))
    torch.testing.assert_close(late, model.second(torch.cat([image, early], dim=1)))
    model.eval()
    answer = model(image)
    assert isinstance(answer, torch.Tensor)
    torch.testing.assert_close(answer, model.second(torch.cat([image, model.first(image)], dim=1)))


def test_the_second_network_sees_the_first_ones_output() -> None:
    model = WNet(in_channels=1, num_outputs=2).eval()
    image = torch.randn(1, 1, 16, 16, requires_grad=True)
    model(image).sum().backward()
    assert all(parameter.grad is not None for parameter in model.first.parameters())


@pytest.mark.parametrize("channels", [(4,), (4, 8), (4, 8, 8, 8)])
def test_any_number_of_levels(channels: tuple[int, ...]) -> None:
    model = TinyUNet(in_channels=1, num_outputs=3, spatial_dims=3, channels=channels)
    assert model(torch.randn(2, 1, 8, 8, 16)).shape == (2, 3, 8, 8, 16)
