"""The plain CNN: the tutorial networks counted by hand, and what each option changes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from fiducial.errors import InputError
from fiducial.models.plain_cnn import PlainCNN


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def shapes(model: PlainCNN, image: torch.Tensor) -> list[tuple[int, ...]]:
    """Channels and extent after each block."""
    seen = []
    for block in model.blocks:
        image = block(image)
        seen.append(tuple(image.shape[1:]))
    return seen


def small(**options: Any) -> PlainCNN:
    return PlainCNN(**({"in_channels": 1, "num_outputs": 3, "size": (16, 16), "widths": (8, 16)} | options))


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "sigmoid", "tanh", "gelu"])
@pytest.mark.parametrize("pooling", ["max", "average"])
def test_blocks_compute_convolution_activation_pooling_in_this_order(pooling: str, activation: str) -> None:
    torch.manual_seed(0)
    model = small(widths=(8,), pooling=pooling, activation=activation)
    convolution = model.blocks[0][0]
    image = torch.randn(4, 1, 16, 16)

    def gradients(maps: torch.Tensor) -> list[torch.Tensor]:
        return [maps, *torch.autograd.grad(maps.square().sum(), list(convolution.parameters()))]

    pool = {"max": torch.max_pool2d, "average": torch.nn.functional.avg_pool2d}[pooling]
    activated = getattr(torch.nn.functional, activation)(convolution(image))
    expected, found = gradients(pool(activated, 2)), gradients(model.blocks[0](image))
    assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))


def test_network_of_three_convolutions_for_28_pixels() -> None:
    model = PlainCNN(in_channels=1, num_outputs=10, size=(28, 28), widths=(32, 64, 64), pool_after=(True, True, False))
    # 28 -3+1-> 26 -/2-> 13 -> 11 -/2-> 5 -> 3
    assert shapes(model, torch.zeros(1, 1, 28, 28)) == [(32, 13, 13), (64, 5, 5), (64, 3, 3)]
    by_hand = (
        (3 * 3 * 1 * 32 + 32)  # 320
        + (3 * 3 * 32 * 64 + 64)  # 18,496
        + (3 * 3 * 64 * 64 + 64)  # 36,928
        + (3 * 3 * 64 * 64 + 64)  # 36,928: 576 features to 64
        + (64 * 10 + 10)  # 650
    )
    assert count(model) == by_hand == 93_322


def test_network_for_224_pixels() -> None:
    with torch.device("meta"):
        model = PlainCNN(in_channels=3, num_outputs=10, size=(224, 224), widths=(32, 64, 128), dense=(1024,))
        seen = shapes(model, torch.zeros(1, 3, 224, 224))
    # 224 -> 222 / 2 = 111 -> 109 / 2 = 54 -> 52 / 2 = 26
    assert seen == [(32, 111, 111), (64, 54, 54), (128, 26, 26)]
    by_hand = (
        (3 * 3 * 3 * 32 + 32)  # 896
        + (3 * 3 * 32 * 64 + 64)  # 18,496
        + (3 * 3 * 64 * 128 + 128)  # 73,856
        + (26 * 26 * 128 * 1024 + 1024)  # 88,605,696
        + (1024 * 10 + 10)  # 10,250
    )
    assert count(model) == by_hand == 88_709_194


def test_lenet_for_32_pixels() -> None:
    model = PlainCNN(in_channels=3, num_outputs=10, size=(32, 32), widths=(6, 16), kernel_size=5, dense=(120, 84))
    # 32 -> 28 / 2 = 14 -> 10 / 2 = 5
    assert shapes(model, torch.zeros(1, 3, 32, 32)) == [(6, 14, 14), (16, 5, 5)]
    by_hand = (
        (5 * 5 * 3 * 6 + 6)  # 456
        + (5 * 5 * 6 * 16 + 16)  # 2,416
        + (5 * 5 * 16 * 120 + 120)  # 48,120
        + (120 * 84 + 84)  # 10,164
        + (84 * 10 + 10)  # 850
    )
    assert count(model) == by_hand == 62_006


def test_nodule_detector_for_64_pixels() -> None:
    model = PlainCNN(in_channels=3, num_outputs=1, size=(64, 64), widths=(32, 64), dense=(128,))
    # 64 -> 62 / 2 = 31 -> 29 // 2 = 14
    assert shapes(model, torch.zeros(1, 3, 64, 64)) == [(32, 31, 31), (64, 14, 14)]
    by_hand = (
        (3 * 3 * 3 * 32 + 32)  # 896
        + (3 * 3 * 32 * 64 + 64)  # 18,496
        + (14 * 14 * 64 * 128 + 128)  # 1,605,760
        + (128 * 1 + 1)  # 129
    )
    assert count(model) == by_hand == 1_625_281


def test_layers_and_their_order() -> None:
    model = small(norm="batch", conv_dropout=0.1, dropout=0.2, dense=(5,))
    kinds = [type(layer) for layer in model.blocks[0]]
    assert kinds == [nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d, nn.ReLU, nn.Dropout2d]
    assert [type(layer) for layer in model.dense] == [nn.Dropout, nn.Linear, nn.ReLU, nn.Dropout, nn.Linear]
    assert model.blocks[0][4].p == 0.1
    assert model.dense[0].p == model.dense[3].p == 0.2


def test_same_numbers_as_written_out() -> None:
    model = small(widths=(4,), activation="tanh", pooling="average", dense=(6,))
    image = torch.randn(2, 1, 16, 16)
    convolution, first, last = model.blocks[0][0], model.dense[1], model.dense[4]
    maps = nn.functional.avg_pool2d(torch.tanh(convolution(image)), 2)
    expected = last(torch.tanh(first(maps.reshape(2, 4 * 7 * 7))))
    torch.testing.assert_close(model(image), expected)


@pytest.mark.parametrize(
    ("activation", "at_minus_two"),
    [("relu", 0.0), ("sigmoid", 0.119203), ("tanh", -0.964028), ("leaky_relu", -0.02), ("gelu", -0.045500)],
)
def test_activations(activation: str, at_minus_two: float) -> None:
    model = small(activation=activation, pooling="none")
    for layer in (model.blocks[0][2], model.dense[2]):
        assert layer(torch.tensor(-2.0)).item() == pytest.approx(at_minus_two, abs=1e-5)


@pytest.mark.parametrize(
    ("pooling", "padding", "expected"),
    [
        ("max", "valid", [7, 2]),
        ("average", "valid", [7, 2]),
        ("strided", "valid", [7, 3]),
        ("none", "valid", [14, 12]),
        ("max", "same", [8, 4]),
        ("strided", "same", [8, 4]),
        ("none", "same", [16, 16]),
    ],
)
@pytest.mark.parametrize("dims", [2, 3])
def test_extents(pooling: str, padding: str, expected: list[int], dims: int) -> None:
    model = small(pooling=pooling, padding=padding, size=(16,) * dims, spatial_dims=dims, widths=(2, 3))
    image = torch.zeros(2, 1, *[16] * dims)
    assert shapes(model, image) == [(2, *[expected[0]] * dims), (3, *[expected[1]] * dims)]
    assert model(image).shape == (2, 3)


def test_pooling_takes_the_maximum_or_the_average() -> None:
    windows = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]])
    assert small(pooling="max", activation="tanh").blocks[0][3](windows).item() == 6
    assert small(pooling="average", activation="tanh").blocks[0][3](windows).item() == 3


def test_pool_after_as_a_number_or_a_list() -> None:
    image = torch.zeros(1, 1, 16, 16)
    options: dict[str, Any] = {"widths": (2, 2, 2), "padding": "same"}
    for pool_after, extents in [
        (None, [8, 4, 2]),
        (0, [16, 16, 16]),
        (2, [8, 4, 4]),
        ([False, True, False], [16, 8, 8]),
    ]:
        assert [seen[1] for seen in shapes(small(pool_after=pool_after, **options), image)] == extents


def test_pool_after_without_pooling_warns() -> None:
    with pytest.warns(UserWarning, match="pool_after has no effect with pooling=none"):
        small(pooling="none", pool_after=1)


@pytest.mark.parametrize("norm", ["batch", "instance", "group", "layer"])
@pytest.mark.parametrize("dims", [2, 3])
def test_norms_standardise_over_their_own_axes(norm: str, dims: int) -> None:
    layer = small(norm=norm, size=(8,) * dims, spatial_dims=dims, widths=(8,), num_groups=2).blocks[0][1]
    maps = torch.randn(3, 8, *[6] * dims) * 4 + 7
    together = {
        "batch": maps.transpose(0, 1).reshape(8, -1),
        "instance": maps.reshape(24, -1),
        "group": maps.reshape(6, -1),
        "layer": maps.reshape(3, -1),
    }
    values = together[norm]
    expected = (values - values.mean(1, keepdim=True)) / (values.var(1, correction=0, keepdim=True) + 1e-5).sqrt()
    actual = layer(maps)
    actual = actual.transpose(0, 1).reshape(8, -1) if norm == "batch" else actual.reshape(expected.shape)
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)
    # scale and shift of each channel, in place of the convolution's bias
    assert sum(parameter.numel() for parameter in layer.parameters()) == 16
    assert small(norm=norm).blocks[0][0].bias is None


def test_average_head_sees_the_mean_of_each_channel() -> None:
    model = small(head="average", dense=())
    image = torch.randn(2, 1, 16, 16)
    expected = model.dense[1](model.blocks(image).mean((2, 3)))
    torch.testing.assert_close(model(image), expected)
    assert count(model) == (9 * 8 + 8) + (9 * 8 * 16 + 16) + (16 * 3 + 3)
    assert model(torch.randn(2, 1, 20, 18)).shape == (2, 3)


@pytest.mark.parametrize("option", ["dropout", "conv_dropout"])
def test_dropout_drops_in_training_only(option: str) -> None:
    model = small(**{option: 0.5})
    image = torch.randn(2, 1, 16, 16)
    assert not torch.equal(model(image), model(image))
    model.eval()
    assert torch.equal(model(image), model(image))


@pytest.mark.parametrize("norm", ["none", "batch", "instance", "group", "layer"])
@pytest.mark.parametrize("pooling", ["max", "average", "strided", "none"])
def test_every_parameter_has_a_gradient(norm: str, pooling: str) -> None:
    model = small(norm=norm, pooling=pooling, activation="gelu")
    model(torch.randn(4, 1, 16, 16)).square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.usefixtures("as_users_have_it")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": (8, 8, 8)}, "after block 3 nothing is left of a 16×16 image.*padding=same"),
        ({"widths": (8,) * 5, "padding": "same"}, "after block 5 nothing is left of a 16×16 image"),
        ({"activation": "relo"}, "activation must be one of relu.*; got 'relo'; did you mean relu"),
        ({"pooling": "avg"}, "pooling must be one of max, average.*; got 'avg'"),
        ({"pooling": "stride"}, "did you mean strided"),
        ({"norm": "btach"}, "did you mean batch"),
        ({"padding": "vaild"}, "did you mean valid"),
        ({"head": "averge"}, "did you mean average"),
        ({"padding": "same", "kernel_size": 4}, "padding=same needs an odd kernel_size; got 4"),
        ({"norm": "group", "widths": (8, 12)}, "needs widths that num_groups divides; got 12 and 8"),
        ({"norm": "instance", "size": (8, 8)}, "norm=instance is left with one value"),
        ({"pool_after": [True]}, "one value for each of 2 widths"),
        ({"pool_after": 3}, "a number of blocks from 0 to 2; got 3"),
        ({"pool_after": True}, "got True"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1"),
        ({"conv_dropout": -0.1}, "conv_dropout must be at least 0"),
        ({"widths": (8, 0)}, "widths must be at least 1"),
        ({"dense": (0,)}, "dense must be at least 1"),
        ({"kernel_size": 0}, "kernel_size must be at least 1"),
        ({"size": (16, 16, 16)}, "size must have 2 entries"),
        ({"size": (16,), "spatial_dims": 1}, "spatial_dims must be 2 or 3; got 1"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        small(**options)
