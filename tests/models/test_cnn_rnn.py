"""The frame network: a case alone, a case among longer ones, and its parts written out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from fiducial.errors import InputError
from fiducial.models.cnn_rnn import CNNRNN
from fiducial.models.resnet import ResNet


def small(**options: Any) -> CNNRNN:
    defaults = {"in_channels": 2, "num_outputs": 3, "size": (6, 8, 8), "widths": (8, 8), "num_features": 5}
    return CNNRNN(**(defaults | {"hidden": 4} | options))


@pytest.fixture
def sequences() -> tuple[torch.Tensor, torch.Tensor]:
    """Four cases of 6, 1, 3 and 4 frames; what stands beyond a case's end is not a number."""
    length = torch.tensor([6, 1, 3, 4])
    image = torch.randn(4, 2, 6, 8, 8)
    image.transpose(1, 2)[torch.arange(6) >= length[:, None]] = torch.nan
    return image, length


@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_a_case_scores_the_same_alone_and_among_longer_ones(
    pooling: str,
    cell: str,
    bidirectional: bool,
    training: bool,
    sequences: tuple[torch.Tensor, torch.Tensor],
) -> None:
    image, length = sequences
    model = small(pooling=pooling, cell=cell, bidirectional=bidirectional, num_layers=2).train(training)
    together = model(image, length)
    for case, num_frames in enumerate(length):
        alone = model(image[case : case + 1, :, :num_frames])
        torch.testing.assert_close(together[case : case + 1], alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("norm", ["none", "instance", "group", "layer"])
def test_a_case_scores_the_same_with_each_norm_of_single_frames(
    norm: str, sequences: tuple[torch.Tensor, torch.Tensor]
) -> None:
    image, length = sequences
    model = small(norm=norm)
    alone = torch.cat([model(image[case : case + 1, :, :n]) for case, n in enumerate(length)])
    torch.testing.assert_close(model(image, length), alone, rtol=1e-5, atol=1e-6)


def test_padding_gives_no_gradient(sequences: tuple[torch.Tensor, torch.Tensor]) -> None:
    image, length = sequences
    for pooling in ("last", "mean", "max", "attention"):
        model = small(pooling=pooling)
        model(image, length).square().sum().backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.any(), name


@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
def test_poolings_written_out(pooling: str, sequences: tuple[torch.Tensor, torch.Tensor]) -> None:
    image, length = sequences
    model = small(pooling=pooling, cell="gru")
    logits = model(image, length)
    for case, num_frames in enumerate(length):
        features = model.encoder(image[case, :, :num_frames].transpose(0, 1))
        outputs, final = model.recurrent.layers(features)  # one sequence without a batch axis
        pooled = {
            "last": torch.cat([final[0], final[1]]),
            "mean": outputs.sum(0) / num_frames,
            "max": outputs.max(0).values,
        }
        if pooling == "attention":
            score = torch.exp(model.attention(outputs))
            pooled["attention"] = (score / score.sum() * outputs).sum(0)
        torch.testing.assert_close(logits[case], model.dense[1](pooled[pooling]))


def test_the_order_of_frames_matters() -> None:
    model = small(pooling="mean")
    image = torch.randn(1, 2, 6, 8, 8)
    assert not torch.allclose(model(image), model(image.flip(2)))


@pytest.mark.parametrize("directions", [1, 2])
def test_parameters_as_counted_by_hand(directions: int) -> None:
    model = small(cell="lstm", num_layers=2, bidirectional=directions == 2, pooling="attention")
    encoder = (9 * 2 * 8 + 2 * 8) + (9 * 8 * 8 + 2 * 8) + (8 * 5 + 5)
    joined = 4 * directions
    recurrent = sum(directions * 4 * 4 * (inputs + 4 + 2) for inputs in (5, joined))
    attention = (joined * joined + joined) + joined
    assert sum(p.numel() for p in model.parameters()) == encoder + recurrent + attention + joined * 3 + 3
    assert sum(p.numel() for p in small().encoder.parameters()) == encoder


def test_another_encoder(sequences: tuple[torch.Tensor, torch.Tensor]) -> None:
    image, length = sequences
    encoder = ResNet(in_channels=2, num_outputs=5, widths=(4, 4, 4, 4))
    model = small(encoder=encoder)
    trained = model(image, length)
    assert trained.shape == (4, 3)
    assert trained.isfinite().all()
    assert encoder.stem[1].running_mean.isfinite().all()
    model.eval()
    alone = torch.cat([model(image[case : case + 1, :, :n]) for case, n in enumerate(length)])
    torch.testing.assert_close(model(image, length), alone, rtol=1e-5, atol=1e-6)


def test_an_encoder_of_other_width_is_refused() -> None:
    model = small(encoder=nn.Flatten())
    with pytest.raises(InputError, match=r"must give num_features=5 features a frame; Flatten gives \(128,\)"):
        model(torch.zeros(1, 2, 6, 8, 8))


def test_it_says_that_it_takes_lengths() -> None:
    assert CNNRNN.takes_length


@pytest.mark.usefixtures("as_users_have_it")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cell": "gro"}, "cell must be one of rnn, lstm, gru; got 'gro'; did you mean gru"),
        ({"pooling": "atention"}, "pooling must be one of last, mean.*did you mean attention"),
        ({"norm": "grup"}, "did you mean group"),
        (
            {"widths": (8,) * 4, "norm": "none"},
            "after block 4 nothing is left of a 8×8 image; use fewer widths",
        ),
        ({"num_features": 0}, "num_features must be at least 1"),
        ({"spatial_dims": 2, "size": (8, 8)}, "spatial_dims must be 3; got 2"),
        ({"dropout": 2.0}, "dropout must be at least 0 and below 1"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        small(**options)
