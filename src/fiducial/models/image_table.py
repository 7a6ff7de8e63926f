"""A network for images, joined with dense layers for the columns of a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import nn

from fiducial.models.dense import Activation, dense_layers
from fiducial.models.option import check_positive
from fiducial.models.wrapping import heads, joining, spread, whole
from fiducial.types import Float, Tensor


class ImageTable(nn.Module):
    """Features of an image and of a table's columns, joined before the last dense layers; for labels and for masks.

    Args:
        backbone: builds a network from the image to `num_features` outputs, vectors or maps.
        num_columns: features from the table.
        num_outputs: number of logits.
        num_features: of the image, and of the columns.
        widths: of hidden layers for the columns.
        activation: of these.
        dropout: of these.

    Raises:
        InputError: an option has no such value.
    """

    takes_columns: ClassVar[bool] = True

    def __init__(
        self,
        *,
        backbone: Callable[[], nn.Module],
        num_columns: int,
        num_outputs: int,
        num_features: int = 32,
        widths: Sequence[int] = (32,),
        activation: Activation = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_positive("model.num_features", num_features)
        self.image = backbone()
        self.columns = dense_layers(num_columns, num_features, widths=widths, activation=activation, dropout=dropout)
        self.joint = joining(2 * num_features, num_features, num_outputs)

    def forward(
        self, image: Float[Tensor, "batch channels *spatial"], *, columns: Float[Tensor, "batch columns"]
    ) -> Tensor | tuple[Tensor, ...]:
        """Return logits, of networks with several outputs in training several, the final one first."""
        beside = self.columns(columns)
        found = heads(self.image(image), image)
        return whole([self.joint(torch.cat([head, spread(beside, head)], dim=1)) for head in found])
