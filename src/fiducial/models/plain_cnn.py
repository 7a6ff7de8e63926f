"""A plain convolutional network, every decision of which is an option to sweep."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Literal, get_args
from warnings import warn

from torch import nn

from fiducial.config.extent import Step, blocks
from fiducial.models.dense import ACTIVATIONS, Activation, dense_layers
from fiducial.models.option import check_choice, check_dropout, check_positive, check_size
from fiducial.models.spatial import AVERAGE_POOL, BATCH_NORM, CHANNEL_DROPOUT, CONV, INSTANCE_NORM, MAX_POOL
from fiducial.types import Float, Tensor

Pooling = Literal["max", "average", "strided", "none"]
Padding = Literal["valid", "same"]
Norm = Literal["none", "batch", "instance", "group", "layer"]
Head = Literal["flatten", "average"]


class Block(nn.Sequential):
    """Convolution, normalisation, activation, pooling and dropout of channels.

    Max-pooling comes before ReLU: values and gradients are those of the usual order to the last bit, and only a
    quarter of them is left to activate.
    """

    def __init__(
        self,
        in_channels: int,
        width: int,
        step: Step,
        *,
        kernel_size: int,
        activation: Activation,
        norm: Norm,
        num_groups: int,
        dropout: float,
    ) -> None:
        dims, pooling = len(step.extent), step.pooling
        convolution = CONV[dims](in_channels, width, kernel_size, step.stride, step.border, bias=norm == "none")
        normalisation = _norm(norm, width, dims, num_groups=num_groups)
        layers: list[nn.Module] = [ACTIVATIONS[activation]()]
        if pooling in ("max", "average"):
            pool = (MAX_POOL if pooling == "max" else AVERAGE_POOL)[dims](2)
            layers.insert(0 if (pooling, activation) == ("max", "relu") else 1, pool)
        super().__init__(convolution, normalisation, *layers, CHANNEL_DROPOUT[dims](dropout))


class PlainCNN(nn.Module):
    """Blocks of convolution, normalisation, activation and pooling, then dense layers.

    A convolution that a normalisation follows has no bias, for the normalisation has one.

    Args:
        in_channels: channels of an image.
        num_outputs: number of logits.
        size: extent of an image along each spatial axis, in pixels.
        spatial_dims: 2 for images, 3 for volumes.
        widths: channels of each block's convolution.
        kernel_size: extent of each convolution.
        activation: relu, sigmoid, tanh, leaky_relu or gelu; also between the dense layers.
        pooling: max or average (over windows of 2), strided (the block's convolution has stride 2 instead),
            or none.
        pool_after: which blocks pool: one truth value a block, or the number of first blocks; None means all.
        padding: valid (none), or same (a convolution of stride 1 keeps the extent).
        norm: none, batch, instance, group, or layer (over all channels and positions of a case).
        num_groups: groups of channels for `norm=group`; every width must be a multiple of it.
        conv_dropout: probability that a channel is dropped at the end of a block.
        head: flatten, or average over all positions, before the dense layers.
        dense: units of each hidden dense layer.
        dropout: probability that an input of a dense layer is dropped, the last layer included.

    Raises:
        InputError: an option has no such value, or the image is too small for the layers.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        num_outputs: int,
        size: Sequence[int],
        spatial_dims: int = 2,
        widths: Sequence[int] = (32, 64),
        kernel_size: int = 3,
        activation: Activation = "relu",
        pooling: Pooling = "max",
        pool_after: Sequence[bool] | int | None = None,
        padding: Padding = "valid",
        norm: Norm = "none",
        num_groups: int = 8,
        conv_dropout: float = 0.0,
        head: Head = "flatten",
        dense: Sequence[int] = (64,),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_size(size, spatial_dims, fits=(2, 3))
        check_choice("pooling", pooling, get_args(Pooling))
        check_choice("head", head, get_args(Head))
        check_positive("widths", *widths)
        check_positive("kernel_size", kernel_size)
        check_choice("activation", activation, ACTIVATIONS)
        check_choice("padding", padding, get_args(Padding))
        check_choice("norm", norm, get_args(Norm))
        check_dropout("conv_dropout", conv_dropout)
        if pooling == "none" and pool_after is not None:
            warn("pool_after has no effect with pooling=none", stacklevel=2)
        self.blocks = nn.Sequential()
        channels, extent = in_channels, tuple(size)
        steps = blocks(
            size,
            widths=widths,
            kernel_size=kernel_size,
            pooling=pooling,
            pool_after=pool_after,
            padding=padding,
            norm=norm,
            num_groups=num_groups,
        )
        for width, step in zip(widths, steps, strict=True):
            block = Block(
                channels,
                width,
                step,
                kernel_size=kernel_size,
                activation=activation,
                norm=norm,
                num_groups=num_groups,
                dropout=conv_dropout,
            )
            channels, extent = width, step.extent
            self.blocks.append(block)
        self.head = head
        self.dense = dense_layers(
            channels if head == "average" else channels * prod(extent),
            num_outputs,
            widths=dense,
            activation=activation,
            dropout=dropout,
        )

    def forward(self, image: Float[Tensor, "batch channels *spatial"]) -> Float[Tensor, "batch outputs"]:
        """Return logits."""
        maps: Tensor = self.blocks(image)
        features = maps.flatten(2).mean(-1) if self.head == "average" else maps.flatten(1)
        logits: Tensor = self.dense(features)
        return logits


def _norm(norm: Norm, width: int, dims: int, *, num_groups: int) -> nn.Module:
    """Return the normalisation of maps `(batch, width, *spatial)`."""
    if norm == "none":
        return nn.Identity()
    if norm == "batch":
        return BATCH_NORM[dims](width)
    if norm == "instance":
        return INSTANCE_NORM[dims](width, affine=True)
    return nn.GroupNorm(1 if norm == "layer" else num_groups, width)
