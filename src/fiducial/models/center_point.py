"""A detector that sees an object as the point in its middle."""

from __future__ import annotations

import math

import torch
from torch import nn

from fiducial.errors import InputError
from fiducial.models.option import check_positive
from fiducial.models.spatial import CONV
from fiducial.types import Float, Tensor


class CenterPoint(nn.Module):
    """Three heads over a map of features: how likely each cell has the centre of an object, where in it, how large.

    Zhou et al., Objects as Points, arXiv 1904.07850, section 3; here in 2D and 3D. The output's channels are, for each
    cell: a logit a class; the centre's distance from the cell's low corner along each axis, in cells; the object's
    extent along each axis, in cells.

    Args:
        backbone: any network from an image to `(batch, num_features, *map)`.
        num_features: channels of its map.
        num_classes: kinds of objects.
        spatial_dims: 2 or 3.
        head_width: channels between the two convolutions of each head.
        stride: of each head's first convolution: 2 makes cells twice as wide, for a backbone of full extent.
        prior: probability of a centre that every cell starts with.

    Raises:
        InputError: an option is out of its range.
    """

    def __init__(
        self,
        *,
        backbone: nn.Module,
        num_features: int,
        num_classes: int,
        spatial_dims: int = 2,
        head_width: int = 32,
        stride: int = 1,
        prior: float = 0.01,
    ) -> None:
        super().__init__()
        check_positive("num_features, num_classes, head_width, stride", num_features, num_classes, head_width, stride)
        if not 0 < prior < 1:
            raise InputError(f"model.prior must be between 0 and 1; got {prior}")
        self.backbone = backbone
        conv = CONV[spatial_dims]

        def head(outputs: int) -> nn.Sequential:
            first = conv(num_features, head_width, 3, stride=stride, padding=1)
            return nn.Sequential(first, nn.ReLU(inplace=True), conv(head_width, outputs, 1))

        self.heat, self.offset, self.size = head(num_classes), head(spatial_dims), head(spatial_dims)
        last = self.heat[-1]
        assert last.bias is not None
        nn.init.constant_(last.bias, math.log(prior / (1 - prior)))  # type: ignore[arg-type]

    def forward(self, image: Float[Tensor, "batch _ ..."]) -> Float[Tensor, "batch outputs ..."]:
        """Return logits, offsets and sizes, `(batch, num_classes + 2 * dims, *cells)`."""
        features = self.backbone(image)
        return torch.cat([self.heat(features), self.offset(features), self.size(features)], dim=1)
