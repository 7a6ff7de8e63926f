"""ReNet: recurrent layers that sweep an image in four directions."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import torch.nn.functional as F
from torch import nn

from fiducial.errors import InputError
from fiducial.models.dense import dense_layers
from fiducial.models.option import check_dropout, check_positive, check_size
from fiducial.models.recurrent import Cell, Recurrent
from fiducial.types import Float, Tensor


class Sweeps(nn.Module):
    """One ReNet layer: a sweep along the columns of an image, then one along the rows of the result.

    The image is cut into patches that do not overlap. Each column of patches is read by a recurrent network
    downwards and by another upwards (Visin et al. 2015, section 2, equations 1 and 2), whose states at a
    patch are joined; each row of the joined states is then read to the right and to the left in the same way.
    So every output has seen the whole image. Where `patch` does not divide an extent, zeros continue it.

    Attributes:
        out_features: features at each patch: `hidden`, twice that in two directions.
    """

    def __init__(self, in_features: int, *, patch: int, cell: Cell, hidden: int, bidirectional: bool) -> None:
        super().__init__()
        check_positive("patch", patch)
        self.patch = patch
        self.vertical = Recurrent(in_features * patch**2, cell=cell, hidden=hidden, bidirectional=bidirectional)
        self.out_features = self.vertical.out_features
        self.horizontal = Recurrent(self.out_features, cell=cell, hidden=hidden, bidirectional=bidirectional)

    def forward(
        self, maps: Float[Tensor, "batch height width features"]
    ) -> Float[Tensor, "batch rows columns out_features"]:
        """Return the joined states of the horizontal sweep, one for each patch."""
        patches = self._patches(maps)
        num_cases, num_rows, num_columns, _ = patches.shape
        swept, _ = self.vertical(patches.transpose(1, 2).flatten(0, 1))
        joined: Tensor = swept.reshape(num_cases, num_columns, num_rows, -1).transpose(1, 2)
        swept, _ = self.horizontal(joined.flatten(0, 1))
        outputs: Tensor = swept.reshape(num_cases, num_rows, num_columns, -1)
        return outputs

    def _patches(self, maps: Float[Tensor, "batch height width features"]) -> Float[Tensor, "batch rows columns _"]:
        """Return the patches, each flattened in the order row, column, feature."""
        num_cases, height, width, features = maps.shape
        num_rows, num_columns = ceil(height / self.patch), ceil(width / self.patch)
        below, beside = num_rows * self.patch - height, num_columns * self.patch - width
        padded = F.pad(maps, (0, 0, 0, beside, 0, below))
        windows = padded.reshape(num_cases, num_rows, self.patch, num_columns, self.patch, features)
        return windows.transpose(2, 3).flatten(3)


class ReNet(nn.Module):
    """Recurrent layers that sweep an image in four directions, then dense layers (arXiv 1505.00393).

    Args:
        in_channels: channels of an image.
        num_outputs: number of logits.
        size: height and width of an image, in pixels.
        spatial_dims: 2.
        cell: rnn (Elman, tanh), lstm or gru.
        hidden: units of each sweep and direction.
        num_layers: number of ReNet layers, each a vertical and a horizontal sweep.
        patch: extent of the square patches of each layer: one number for all, or one a layer.
        bidirectional: whether there are sweeps upwards and to the left, as in the paper.
        dense: units of each hidden dense layer, with ReLU.
        dropout: probability that an output of a ReNet layer or of a hidden dense layer is dropped.

    Raises:
        InputError: an option has no such value, or images are not 2D.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        num_outputs: int,
        size: Sequence[int],
        spatial_dims: int = 2,
        cell: Cell = "gru",
        hidden: int = 64,
        num_layers: int = 2,
        patch: int | Sequence[int] = 2,
        bidirectional: bool = True,
        dense: Sequence[int] = (256,),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_size(size, spatial_dims, fits=(2,))
        check_positive("num_layers", num_layers)
        check_dropout("dropout", dropout)
        patches = [patch] * num_layers if isinstance(patch, int) else list(patch)
        if len(patches) != num_layers:
            raise InputError(f"patch must have one entry for each of {num_layers} layers; got {patches}")
        self.layers = nn.Sequential()
        features, (height, width) = in_channels, size
        for index, extent in enumerate(patches):
            if index > 0:
                self.layers.append(nn.Dropout(dropout))
            layer = Sweeps(features, patch=extent, cell=cell, hidden=hidden, bidirectional=bidirectional)
            features, height, width = layer.out_features, ceil(height / extent), ceil(width / extent)
            self.layers.append(layer)
        self.dense = dense_layers(height * width * features, num_outputs, widths=dense, dropout=dropout)

    def forward(self, image: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch outputs"]:
        """Return logits."""
        maps: Tensor = self.layers(image.movedim(1, -1))
        logits: Tensor = self.dense(maps.flatten(1))
        return logits
