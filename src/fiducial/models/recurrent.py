"""Recurrent layers over sequences, of different lengths where need be."""

from __future__ import annotations

from typing import Literal

from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from fiducial.models.option import check_choice, check_dropout, check_positive
from fiducial.types import Float, Int, Tensor

Cell = Literal["rnn", "lstm", "gru"]
CELLS: dict[str, type[nn.RNN] | type[nn.LSTM] | type[nn.GRU]] = {
    "rnn": nn.RNN,
    "lstm": nn.LSTM,
    "gru": nn.GRU,
}


class Recurrent(nn.Module):
    """A stack of recurrent layers.

    Args:
        in_features: features of one step.
        cell: rnn (Elman, tanh), lstm or gru.
        hidden: units of each layer and direction.
        num_layers: number of layers.
        bidirectional: whether a second network reads the sequence from its end.
        dropout: probability that an output is dropped between layers.

    Attributes:
        out_features: features of one output step: `hidden`, twice that in two directions.

    Raises:
        InputError: an option has no such value.
    """

    def __init__(
        self,
        in_features: int,
        *,
        cell: Cell,
        hidden: int,
        num_layers: int = 1,
        bidirectional: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_choice("cell", cell, CELLS)
        check_positive("hidden", hidden)
        check_positive("num_layers", num_layers)
        check_dropout("dropout", dropout)
        self.layers = CELLS[cell](
            in_features,
            hidden,
            num_layers,
            batch_first=True,
            bidirectional=bidirectional,
            dropout=dropout if num_layers > 1 else 0.0,  # torch warns where there is no layer in between
        )
        self.out_features = hidden * (2 if bidirectional else 1)

    def forward(
        self, steps: Float[Tensor, "batch steps in_features"], length: Int[Tensor, " batch"] | None = None
    ) -> tuple[Float[Tensor, "batch steps out_features"], Float[Tensor, "batch out_features"]]:
        """Return the last layer's output at each step, and its final state (of both directions).

        Args:
            steps: sequences; what stands beyond a sequence's length is never read.
            length: number of steps of each sequence, at least 1; None means all.

        Returns:
            Outputs, 0 beyond a sequence's length; and the state after a sequence's last step, beside that of
            the backward direction after its first.
        """
        if length is None:
            outputs, state = self.layers(steps)
        else:
            packed = pack_padded_sequence(steps, length.cpu(), batch_first=True, enforce_sorted=False)
            outputs, state = self.layers(packed)
            outputs, _ = pad_packed_sequence(outputs, batch_first=True, total_length=steps.shape[1])
        if isinstance(self.layers, nn.LSTM):
            state, _ = state
        num_directions = 2 if self.layers.bidirectional else 1
        return outputs, state[-num_directions:].transpose(0, 1).flatten(1)
