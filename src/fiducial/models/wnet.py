"""W-net: two tiny U-Nets in a row, the second of which corrects the first."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from fiducial.models.option import check_positive
from fiducial.models.spatial import BATCH_NORM, CONV, CONV_TRANSPOSE, MAX_POOL
from fiducial.types import Float, Tensor

Image = Float[Tensor, "batch _ ..."]


def convolution(in_channels: int, out_channels: int, spatial_dims: int) -> nn.Sequential:
    """Return a 3×3 convolution with ReLU and batch normalisation, in this order."""
    conv, norm = CONV[spatial_dims], BATCH_NORM[spatial_dims]
    return nn.Sequential(conv(in_channels, out_channels, 3, padding=1), nn.ReLU(inplace=True), norm(out_channels))


class ConvBlock(nn.Module):
    """Two convolutions beside a 1×1 shortcut."""

    def __init__(self, in_channels: int, out_channels: int, spatial_dims: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            convolution(in_channels, out_channels, spatial_dims), convolution(out_channels, out_channels, spatial_dims)
        )
        self.shortcut = nn.Sequential(
            CONV[spatial_dims](in_channels, out_channels, 1), BATCH_NORM[spatial_dims](out_channels)
        )

    def forward(self, image: Image) -> Image:
        """Return features of the same extent."""
        features: Tensor = self.body(image) + self.shortcut(image)
        return features


class TinyUNet(nn.Module):
    """A U-Net of few channels, with a convolution on each skip connection.

    Args:
        in_channels: of the image.
        num_outputs: channels of the output.
        spatial_dims: 2 or 3.
        channels: of each level, from full extent down; each level halves the extent.
    """

    def __init__(
        self, *, in_channels: int, num_outputs: int, spatial_dims: int = 2, channels: Sequence[int] = (8, 16, 32)
    ) -> None:
        super().__init__()
        check_positive("channels", *channels)
        ends = list(pairwise(channels))
        up = CONV_TRANSPOSE[spatial_dims]
        self.first = ConvBlock(in_channels, channels[0], spatial_dims)
        self.pool = MAX_POOL[spatial_dims](2)
        self.down = nn.ModuleList(ConvBlock(wide, narrow, spatial_dims) for wide, narrow in ends)
        self.bridge = nn.ModuleList(convolution(wide, wide, spatial_dims) for wide, _ in ends)
        self.up = nn.ModuleList(up(narrow, wide, 2, stride=2) for wide, narrow in ends)
        self.merge = nn.ModuleList(ConvBlock(2 * wide, wide, spatial_dims) for wide, _ in ends)
        self.last = CONV[spatial_dims](channels[0], num_outputs, 1)

    def forward(self, image: Image) -> Image:
        """Return logits of the image's extent, which must be a multiple of 2 for each level but the first."""
        levels = [self.first(image)]
        for block in self.down:
            levels.append(block(self.pool(levels[-1])))
        features = levels.pop()
        for bridge, up, merge in zip(reversed(self.bridge), reversed(self.up), reversed(self.merge), strict=True):
            features = merge(torch.cat([up(features), bridge(levels.pop())], dim=1))
        logits: Tensor = self.last(features)
        return logits


class WNet(nn.Module):
    """Two U-Nets, the second of which sees the image and the output of the first.

    With the default channels each has about 34,000 parameters. Both outputs are trained on the truth, with the same
    weight (`task.supervision=equal`). Galdran et al., State-of-the-art retinal vessel segmentation with minimalistic
    models, Scientific Reports 12:6174, 2022.

    Args:
        in_channels: of the image.
        num_outputs: number of classes.
        spatial_dims: 2 or 3.
        channels: of each level of both U-Nets, from full extent down.
    """

    def __init__(
        self, *, in_channels: int, num_outputs: int, spatial_dims: int = 2, channels: Sequence[int] = (8, 16, 32)
    ) -> None:
        super().__init__()
        self.first = TinyUNet(
            in_channels=in_channels, num_outputs=num_outputs, spatial_dims=spatial_dims, channels=channels
        )
        self.second = TinyUNet(
            in_channels=in_channels + num_outputs, num_outputs=num_outputs, spatial_dims=spatial_dims, channels=channels
        )

    def forward(self, image: Image) -> Tensor | tuple[Tensor, Tensor]:
        """Return the second network's logits; in training those of the first too, after them."""
        early: Tensor = self.first(image)
        late: Tensor = self.second(torch.cat([image, early], dim=1))
        return (late, early) if self.training else late
