"""A recurrent network that reads an image row by row."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from fiducial.models.dense import dense_layers
from fiducial.models.option import check_size
from fiducial.models.recurrent import Cell, Recurrent
from fiducial.types import Float, Tensor


class RowRNN(nn.Module):
    """The rows of a 2D image as a sequence, from top to bottom; the final state gives the logits.

    One step is a row with all its channels. With two directions the second reads from the bottom to the top.

    Args:
        in_channels: channels of an image.
        num_outputs: number of logits.
        size: height and width of an image, in pixels.
        spatial_dims: 2.
        cell: rnn (Elman, tanh), lstm or gru.
        hidden: units of each layer and direction.
        num_layers: number of recurrent layers.
        bidirectional: whether the rows are also read from the bottom.
        dropout: probability that an output is dropped between the recurrent layers and before the last layer.

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
        cell: Cell = "lstm",
        hidden: int = 128,
        num_layers: int = 1,
        bidirectional: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_size(size, spatial_dims, fits=(2,))
        self.rows = Recurrent(
            in_channels * size[1],
            cell=cell,
            hidden=hidden,
            num_layers=num_layers,
            bidirectional=bidirectional,
            dropout=dropout,
        )
        self.dense = dense_layers(self.rows.out_features, num_outputs, widths=(), dropout=dropout)

    def forward(self, image: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch outputs"]:
        """Return logits."""
        _, state = self.rows(image.transpose(1, 2).flatten(2))
        logits: Tensor = self.dense(state)
        return logits
