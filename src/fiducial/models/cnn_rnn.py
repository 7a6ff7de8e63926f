"""A CNN for each frame or slice, and a recurrent network over them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, get_args

import torch
from torch import nn

from fiducial.errors import InputError
from fiducial.models.dense import dense_layers
from fiducial.models.option import check_choice, check_positive, check_size
from fiducial.models.plain_cnn import Norm, PlainCNN
from fiducial.models.recurrent import Cell, Recurrent
from fiducial.types import Bool, Float, Int, Tensor

Pooling = Literal["last", "mean", "max", "attention"]


class CNNRNN(nn.Module):
    """A 2D CNN encodes each frame, a recurrent network reads them, and its outputs are pooled over time.

    A case's logits do not depend on what it is batched with: only its own frames are encoded, the recurrent
    network and the pooling end at its length, and the frame encoder normalises each frame by itself. Two
    choices mix cases while they train, but even they never see padding: `norm=batch`, and an `encoder` that
    normalises over the batch.

    Args:
        in_channels: channels of a frame.
        num_outputs: number of logits.
        size: number of frames or slices (the greatest), height and width.
        spatial_dims: 3: frames or slices, height and width.
        widths: channels of each block of the built-in frame encoder: convolution with `padding=same`,
            normalisation, ReLU, 2×2 max-pooling; the average over all positions and a dense layer end it.
        kernel_size: extent of the built-in encoder's convolutions; odd.
        norm: the built-in encoder's normalisation: none, instance, group, layer or batch.
        num_groups: groups of channels for `norm=group`; every width must be a multiple of it.
        encoder: a network from `(frames, channels, height, width)` to `(frames, num_features)` instead of the
            built-in one.
        num_features: features of a frame that the encoder gives to the recurrent network.
        cell: rnn (Elman, tanh), lstm or gru.
        hidden: units of each recurrent layer and direction.
        num_layers: number of recurrent layers.
        bidirectional: whether the frames are also read from the last to the first.
        pooling: last (the final state), mean or max of the outputs over time, or attention: their mean with
            learned weights (Ilse et al. 2018, arXiv 1802.04712, equation 8).
        dropout: probability that an output is dropped between the recurrent layers and before the last layer.

    Raises:
        InputError: an option has no such value, or the frames are too small for the encoder.
    """

    takes_length: ClassVar[bool] = True

    def __init__(
        self,
        *,
        in_channels: int,
        num_outputs: int,
        size: Sequence[int],
        spatial_dims: int = 3,
        widths: Sequence[int] = (16, 32, 64),
        kernel_size: int = 3,
        norm: Norm = "group",
        num_groups: int = 8,
        encoder: nn.Module | None = None,
        num_features: int = 64,
        cell: Cell = "gru",
        hidden: int = 64,
        num_layers: int = 1,
        bidirectional: bool = True,
        pooling: Pooling = "attention",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_size(size, spatial_dims, fits=(3,))
        check_positive("num_features", num_features)
        check_choice("pooling", pooling, get_args(Pooling))
        self.num_features = num_features
        self.encoder = (
            encoder
            if encoder is not None
            else PlainCNN(
                in_channels=in_channels,
                num_outputs=num_features,
                size=size[1:],
                widths=widths,
                kernel_size=kernel_size,
                padding="same",
                norm=norm,
                num_groups=num_groups,
                head="average",
                dense=(),
            )
        )
        self.recurrent = Recurrent(
            num_features,
            cell=cell,
            hidden=hidden,
            num_layers=num_layers,
            bidirectional=bidirectional,
            dropout=dropout,
        )
        self.pooling = pooling
        features = self.recurrent.out_features
        if pooling == "attention":
            self.attention = nn.Sequential(nn.Linear(features, features), nn.Tanh(), nn.Linear(features, 1, bias=False))
        self.dense = dense_layers(features, num_outputs, widths=(), dropout=dropout)

    def forward(
        self,
        image: Float[Tensor, "batch channels frames height width"],
        length: Int[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, "batch outputs"]:
        """Return logits.

        Args:
            image: sequences, padded at their end to a common number of frames; the padding is never read.
            length: number of frames of each case, at least 1; None means all.
        """
        num_frames = image.shape[2]
        if length is None:
            length = torch.full((len(image),), num_frames, device=image.device)
        own = torch.arange(num_frames, device=image.device) < length[:, None]
        outputs, state = self.recurrent(self._encode(image, own), length)
        logits: Tensor = self.dense(state if self.pooling == "last" else self._pool(outputs, own))
        return logits

    def _encode(
        self, image: Float[Tensor, "batch channels frames height width"], own: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch frames features"]:
        """Return the features of each frame, 0 for those that are padding."""
        encoded = self.encoder(image.transpose(1, 2)[own])
        if encoded.shape[1:] != (self.num_features,):
            raise InputError(
                f"the frame encoder must give num_features={self.num_features} features a frame; "
                f"{type(self.encoder).__name__} gives {tuple(encoded.shape[1:])}"
            )
        features: Tensor = encoded.new_zeros(*own.shape, self.num_features)
        features[own] = encoded
        return features

    def _pool(
        self, outputs: Float[Tensor, "batch frames features"], own: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch features"]:
        """Return the mean, the maximum or the weighted mean over a case's own frames."""
        padding = ~own[..., None]
        if self.pooling == "max":
            return outputs.masked_fill(padding, -torch.inf).amax(1)
        if self.pooling == "mean":
            weights = own[..., None] / own.sum(1)[:, None, None]
        else:
            weights = self.attention(outputs).masked_fill(padding, -torch.inf).softmax(1)
        return (weights * outputs).sum(1)
