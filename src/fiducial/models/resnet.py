"""Residual networks with a stem for small images, in 2D and 3D."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import nn

from fiducial.errors import InputError
from fiducial.models.option import check_choice, check_positive
from fiducial.models.spatial import BATCH_NORM, CONV
from fiducial.types import Float, Tensor


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut (He et al. 2016, figure 5 left)."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, *, stride: int, spatial_dims: int) -> None:
        super().__init__()
        conv, norm = CONV[spatial_dims], BATCH_NORM[spatial_dims]
        self.conv1 = conv(in_channels, width, 3, stride=stride, padding=1, bias=False)
        self.norm1 = norm(width)
        self.conv2 = conv(width, width, 3, padding=1, bias=False)
        self.norm2 = norm(width)
        self.shortcut = _shortcut(in_channels, width, stride=stride, spatial_dims=spatial_dims)

    def forward(self, x: Float[Tensor, "batch _ ..."]) -> Float[Tensor, "batch _ ..."]:
        """Return the block's output; its spatial extent is the input's over `stride`, rounded up."""
        out = F.relu(self.norm1(self.conv1(x)), inplace=True)
        out = self.norm2(self.conv2(out))
        return F.relu(out + self.shortcut(x), inplace=True)


class Bottleneck(nn.Module):
    """1×1, 3×3 and 1×1 convolutions and a shortcut (He et al. 2016, figure 5 right).

    The stride is on the 3×3 convolution, as in PyTorch's and MedMNIST's networks; the paper has it on the
    first 1×1.
    """

    expansion = 4

    def __init__(self, in_channels: int, width: int, *, stride: int, spatial_dims: int) -> None:
        super().__init__()
        conv, norm = CONV[spatial_dims], BATCH_NORM[spatial_dims]
        out_channels = width * self.expansion
        self.conv1 = conv(in_channels, width, 1, bias=False)
        self.norm1 = norm(width)
        self.conv2 = conv(width, width, 3, stride=stride, padding=1, bias=False)
        self.norm2 = norm(width)
        self.conv3 = conv(width, out_channels, 1, bias=False)
        self.norm3 = norm(out_channels)
        self.shortcut = _shortcut(in_channels, out_channels, stride=stride, spatial_dims=spatial_dims)

    def forward(self, x: Float[Tensor, "batch _ ..."]) -> Float[Tensor, "batch _ ..."]:
        """Return the block's output; its spatial extent is the input's over `stride`, rounded up."""
        out = F.relu(self.norm1(self.conv1(x)), inplace=True)
        out = F.relu(self.norm2(self.conv2(out)), inplace=True)
        out = self.norm3(self.conv3(out))
        return F.relu(out + self.shortcut(x), inplace=True)


# Blocks in each of the four stages (He et al. 2016, table 1).
BLOCKS: dict[int, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, int, int, int]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
}


class ResNet(nn.Module):
    """ResNet with the CIFAR stem: a 3×3 convolution of stride 1 and no max-pooling.

    It is the network of the MedMNIST v2 protocol (Yang et al. 2023, arXiv 2110.14795) for images of 28
    pixels: the four stages of He et al. (2016, arXiv 1512.03385, table 1) with projection shortcuts where the
    shape changes, then global average pooling and one linear layer. Weights start as PyTorch's layers draw
    them.

    Args:
        in_channels: channels of an image.
        num_outputs: number of logits.
        spatial_dims: 2 for images, 3 for volumes.
        depth: 18 or 34 (basic blocks), or 50 (bottleneck blocks).
        widths: channels inside the blocks of each stage; the first is also the stem's. Every stage but the
            first halves the spatial extent.

    Raises:
        InputError: an option has no such value.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        num_outputs: int,
        spatial_dims: int = 2,
        depth: int = 18,
        widths: Sequence[int] = (64, 128, 256, 512),
    ) -> None:
        super().__init__()
        _check(depth, widths, spatial_dims)
        block, counts = BLOCKS[depth]
        self.stem = nn.Sequential(
            CONV[spatial_dims](in_channels, widths[0], 3, padding=1, bias=False),
            BATCH_NORM[spatial_dims](widths[0]),
            nn.ReLU(inplace=True),
        )
        self.stages = nn.Sequential()
        channels = widths[0]
        for stage, (width, count) in enumerate(zip(widths, counts, strict=True)):
            blocks = nn.Sequential()
            for index in range(count):
                stride = 2 if stage > 0 and index == 0 else 1
                blocks.append(block(channels, width, stride=stride, spatial_dims=spatial_dims))
                channels = width * block.expansion
            self.stages.append(blocks)
        self.head = nn.Linear(channels, num_outputs)

    def forward(self, image: Float[Tensor, "batch channels *spatial"]) -> Float[Tensor, "batch outputs"]:
        """Return logits."""
        maps: Tensor = self.stages(self.stem(image))
        logits: Tensor = self.head(maps.mean(dim=tuple(range(2, maps.ndim))))
        return logits


def _shortcut(in_channels: int, out_channels: int, *, stride: int, spatial_dims: int) -> nn.Module:
    """Return the identity where the shape stays, else a strided 1×1 projection (He et al. 2016, option B)."""
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(
        CONV[spatial_dims](in_channels, out_channels, 1, stride=stride, bias=False),
        BATCH_NORM[spatial_dims](out_channels),
    )


def _check(depth: int, widths: Sequence[int], spatial_dims: int) -> None:
    check_choice("depth", str(depth), map(str, BLOCKS))
    if spatial_dims not in CONV:
        raise InputError(f"spatial_dims must be 2 or 3; got {spatial_dims}")
    if len(widths) != 4:
        raise InputError(f"widths must have one entry for each of four stages; got {list(widths)}")
    check_positive("widths", *widths)
