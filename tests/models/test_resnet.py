"""ResNet against MONAI's, and against a count of its parameters by hand."""

from __future__ import annotations

import pytest
import torch
from monai.networks.nets import ResNet as MonaiResNet
from torch import nn

from fiducial.errors import InputError
from fiducial.models.resnet import ResNet

MONAI_BLOCK = {18: ("basic", [2, 2, 2, 2]), 34: ("basic", [3, 4, 6, 3]), 50: ("bottleneck", [3, 4, 6, 3])}


def conv(kernel_size: int, inputs: int, outputs: int, dims: int) -> int:
    """Weights of a convolution without bias, and of the batch normalisation after it."""
    return kernel_size**dims * inputs * outputs + 2 * outputs


def basic_count(depth: int, channels: int, outputs: int, dims: int) -> int:
    total = conv(3, channels, 64, dims)
    before = 64
    for width, blocks in zip((64, 128, 256, 512), MONAI_BLOCK[depth][1], strict=True):
        if width != before:
            total += conv(1, before, width, dims)
        total += conv(3, before, width, dims) + conv(3, width, width, dims)
        total += (blocks - 1) * 2 * conv(3, width, width, dims)
        before = width
    return total + 512 * outputs + outputs


def bottleneck_count(channels: int, outputs: int, dims: int) -> int:
    total = conv(3, channels, 64, dims)
    before = 64
    for width, blocks in zip((64, 128, 256, 512), (3, 4, 6, 3), strict=True):
        total += conv(1, before, 4 * width, dims)
        for _ in range(blocks):
            total += conv(1, before, width, dims) + conv(3, width, width, dims) + conv(1, width, 4 * width, dims)
            before = 4 * width
    return total + 2048 * outputs + outputs


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(("channels", "outputs", "dims"), [(1, 2, 2), (3, 9, 2), (1, 11, 3)])
def test_parameters_as_counted_by_hand(channels: int, outputs: int, dims: int) -> None:
    options = {"in_channels": channels, "num_outputs": outputs, "spatial_dims": dims}
    assert count(ResNet(depth=18, **options)) == basic_count(18, channels, outputs, dims)
    assert count(ResNet(depth=34, **options)) == basic_count(34, channels, outputs, dims)
    assert count(ResNet(depth=50, **options)) == bottleneck_count(channels, outputs, dims)


def test_parameters_of_the_medmnist_network() -> None:
    # The CIFAR ResNet-18 with 10 classes and 3 channels is published as 11.17 M parameters: 11,173,962.
    assert count(ResNet(in_channels=3, num_outputs=10)) == 11_173_962


@pytest.mark.parametrize("depth", [18, 34, 50])
@pytest.mark.parametrize(("dims", "extent"), [(2, 12), (3, 8)])
def test_same_numbers_as_monai(depth: int, dims: int, extent: int) -> None:
    block, layers = MONAI_BLOCK[depth]
    widths = [8, 16, 24, 32]
    theirs = MonaiResNet(
        block, layers, widths, spatial_dims=dims, n_input_channels=2, conv1_t_size=3, conv1_t_stride=1,
        no_max_pool=True, shortcut_type="B", bias_downsample=False, num_classes=3,
    )  # fmt: skip
    ours = ResNet(in_channels=2, num_outputs=3, spatial_dims=dims, depth=depth, widths=widths)
    copy_in_order(ours, theirs)
    image = torch.randn(3, 2, *[extent] * dims)
    for training in (True, False):
        ours.train(training)
        theirs.train(training)
        torch.testing.assert_close(ours(image), theirs(image), rtol=1e-4, atol=1e-5)


def copy_in_order(target: nn.Module, source: nn.Module) -> None:
    """Copy weights between networks whose layers have other names but come in the same order in a block."""
    names = {"norm": "bn", "shortcut": "downsample", "stem.0": "conv1", "stem.1": "bn1", "head": "fc"}
    given = source.state_dict()
    copied = {}
    for name in target.state_dict():
        other = name
        for ours, theirs in names.items():
            other = other.replace(ours, theirs)
        if other.startswith("stages."):
            stage = int(other.split(".")[1])
            other = f"layer{stage + 1}" + other.removeprefix(f"stages.{stage}")
        copied[name] = given.pop(other)
    assert not given
    target.load_state_dict(copied)


@pytest.mark.parametrize("depth", [18, 50])
def test_every_parameter_has_a_gradient(depth: int) -> None:
    model = ResNet(in_channels=1, num_outputs=4, depth=depth, widths=(4, 6, 8, 10))
    logits = model(torch.randn(3, 1, 16, 16))
    assert logits.shape == (3, 4)
    logits.square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_stem_keeps_the_extent_and_each_later_stage_halves_it() -> None:
    model = ResNet(in_channels=1, num_outputs=2, widths=(4, 4, 4, 4))
    maps = model.stem(torch.zeros(1, 1, 28, 28))
    extents = [maps.shape[2:]]
    for stage in model.stages:
        maps = stage(maps)
        extents.append(maps.shape[2:])
    assert [tuple(extent) for extent in extents] == [(28, 28), (28, 28), (14, 14), (7, 7), (4, 4)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 81}, "depth must be one of 18, 34, 50; got '81'; did you mean 18"),
        ({"spatial_dims": 1}, "spatial_dims must be 2 or 3; got 1"),
        ({"widths": (8, 8)}, r"four stages; got \[8, 8\]"),
        ({"widths": (8, 8, 0, 8)}, "widths must be at least 1"),
    ],
)
def test_options_that_do_not_exist(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ResNet(in_channels=1, num_outputs=2, **options)  # type: ignore[arg-type]
