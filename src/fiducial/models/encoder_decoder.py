"""A plain encoder and decoder that gives a map of features: what a detector's heads look at."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from fiducial.errors import InputError
from fiducial.models.option import check_positive
from fiducial.models.spatial import BATCH_NORM, CONV, CONV_TRANSPOSE, MAX_POOL
from fiducial.types import Float, Tensor

Map = Float[Tensor, "batch _ ..."]


class EncoderDecoder(nn.Module):
    """Convolutions down to a coarse view of the whole, and up again to the extent that is asked for.

    Each level has two 3×3 convolutions with batch normalisation and ReLU, and half the extent of the one above; on the
    way up a level takes what the level of the same extent saw on the way down, as in a U-Net.

    Args:
        in_channels: of the image.
        out_channels: of the map.
        spatial_dims: 2 or 3.
        widths: channels of each level, from full extent down.
        stride: pixels of the image along each axis of one cell of the map: 1, 2, 4, … as far as there are levels.

    Raises:
        InputError: there is no level of this stride.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        out_channels: int,
        spatial_dims: int = 2,
        widths: Sequence[int] = (16, 32, 64, 96),
        stride: int = 2,
    ) -> None:
        super().__init__()
        check_positive("widths", *widths)
        strides = [2**level for level in range(len(widths))]
        if stride not in strides:
            raise InputError(f"stride must be one of {', '.join(map(str, strides))}, a level each; got {stride}")
        up = CONV_TRANSPOSE[spatial_dims]
        self.pool = MAX_POOL[spatial_dims](2)
        self.down = nn.ModuleList(
            _block(before, width, spatial_dims) for before, width in pairwise([in_channels, *widths])
        )
        ends = list(pairwise(widths))[strides.index(stride) :]
        self.up = nn.ModuleList(up(narrow, wide, 2, stride=2) for wide, narrow in reversed(ends))
        self.merge = nn.ModuleList(_block(2 * wide, wide, spatial_dims) for wide, _ in reversed(ends))
        self.last = CONV[spatial_dims](widths[strides.index(stride)], out_channels, 1)

    def forward(self, image: Map) -> Map:
        """Return the map; the image's extents must be multiples of 2 for each level but the first."""
        levels = [self.down[0](image)]
        for block in self.down[1:]:
            levels.append(block(self.pool(levels[-1])))
        features = levels.pop()
        for up, merge in zip(self.up, self.merge, strict=True):
            features = merge(torch.cat([up(features), levels.pop()], dim=1))
        mapped: Tensor = self.last(features)
        return mapped


def _block(in_channels: int, out_channels: int, spatial_dims: int) -> nn.Sequential:
    conv, norm = CONV[spatial_dims], BATCH_NORM[spatial_dims]
    layers: list[nn.Module] = []
    for before in (in_channels, out_channels):
        layers += [
            conv(before, out_channels, 3, padding=1, bias=False),
            norm(out_channels),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)
