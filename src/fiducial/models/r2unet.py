"""R2U-Net: a U-Net of recurrent residual convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from fiducial.models.option import check_positive
from fiducial.models.spatial import BATCH_NORM, CONV, MAX_POOL
from fiducial.types import Float, Tensor

Image = Float[Tensor, "batch _ ..."]
UPSAMPLING = {2: "bilinear", 3: "trilinear"}


def convolution(in_channels: int, out_channels: int, spatial_dims: int) -> nn.Sequential:
    """Return a 3×3 convolution with batch normalisation and ReLU, in this order."""
    return nn.Sequential(
        CONV[spatial_dims](in_channels, out_channels, 3, padding=1),
        BATCH_NORM[spatial_dims](out_channels),
        nn.ReLU(inplace=True),
    )


class RecurrentConvolution(nn.Module):
    """A convolution that sees its input again, together with what it made of it.

    Liang and Hu, Recurrent convolutional neural network for object recognition, CVPR 2015; here with one kernel for
    both, as in R2U-Net's figure 4. Each step has a batch normalisation of its own (Cooijmans et al., Recurrent batch
    normalization, arXiv 1603.09025, section 3): values grow from step to step, and the running statistics of all steps
    together are those of none, so that a network which learned well would predict badly.

    Args:
        channels: of input and output.
        spatial_dims: 2 or 3.
        steps: how often it sees its input again.
    """

    def __init__(self, channels: int, spatial_dims: int, steps: int) -> None:
        super().__init__()
        self.kernel = CONV[spatial_dims](channels, channels, 3, padding=1)
        self.norms = nn.ModuleList(BATCH_NORM[spatial_dims](channels) for _ in range(steps + 1))

    def forward(self, image: Image) -> Image:
        """Return features of the same extent."""
        seen = image
        for norm in self.norms:
            state: Tensor = norm(self.kernel(seen)).relu()
            seen = image + state
        return state


class RecurrentResidualBlock(nn.Module):
    """A 1×1 convolution, then two recurrent convolutions beside a shortcut."""

    def __init__(self, in_channels: int, out_channels: int, spatial_dims: int, steps: int) -> None:
        super().__init__()
        self.enter = CONV[spatial_dims](in_channels, out_channels, 1)
        self.body = nn.Sequential(
            *(RecurrentConvolution(out_channels, spatial_dims, steps) for _ in range(2)),
        )

    def forward(self, image: Image) -> Image:
        """Return features of the same extent."""
        entered: Tensor = self.enter(image)
        features: Tensor = entered + self.body(entered)
        return features


class R2UNet(nn.Module):
    """A U-Net whose blocks are recurrent and residual.

    Alom et al., Recurrent residual convolutional neural network based on U-Net (R2U-Net) for medical image
    segmentation, arXiv 1802.06955, section III.

    Args:
        in_channels: of the image.
        num_outputs: number of classes.
        spatial_dims: 2 or 3.
        channels: of each level, from full extent down; each level halves the extent.
        steps: how often each convolution sees its input again, `t` in the paper.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        num_outputs: int,
        spatial_dims: int = 2,
        channels: Sequence[int] = (16, 32, 64, 128),
        steps: int = 2,
    ) -> None:
        super().__init__()
        check_positive("channels", *channels)
        check_positive("steps", steps)
        pairs = list(pairwise(channels))

        def block(wide: int, narrow: int) -> RecurrentResidualBlock:
            return RecurrentResidualBlock(wide, narrow, spatial_dims, steps)

        self.first = block(in_channels, channels[0])
        self.pool = MAX_POOL[spatial_dims](2)
        self.down = nn.ModuleList(block(wide, narrow) for wide, narrow in pairs)
        self.up = nn.ModuleList(
            nn.Sequential(
                nn.Upsample(scale_factor=2, mode=UPSAMPLING[spatial_dims]), convolution(narrow, wide, spatial_dims)
            )
            for wide, narrow in pairs
        )
        self.merge = nn.ModuleList(block(2 * wide, wide) for wide, _ in pairs)
        self.last = CONV[spatial_dims](channels[0], num_outputs, 1)

    def forward(self, image: Image) -> Image:
        """Return logits of the image's extent, which must be a multiple of 2 for each level but the first."""
        levels = [self.first(image)]
        for block in self.down:
            levels.append(block(self.pool(levels[-1])))
        features = levels.pop()
        for up, merge in zip(reversed(self.up), reversed(self.merge), strict=True):
            features = merge(torch.cat([up(features), levels.pop()], dim=1))
        logits: Tensor = self.last(features)
        return logits
