"""The dense layers at the end of a network, and the activations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import nn

from fiducial.models.option import check_choice, check_dropout, check_positive

Activation = Literal["relu", "sigmoid", "tanh", "leaky_relu", "gelu"]
ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "leaky_relu": nn.LeakyReLU,
    "gelu": nn.GELU,
}


def dense_layers(
    in_features: int,
    num_outputs: int,
    *,
    widths: Sequence[int],
    activation: Activation = "relu",
    dropout: float = 0.0,
) -> nn.Sequential:
    """Return dense layers from `(batch, in_features)` to logits `(batch, num_outputs)`.

    Args:
        in_features: features of a case.
        num_outputs: number of logits.
        widths: units of each hidden layer; the activation follows each.
        activation: relu, sigmoid, tanh, leaky_relu or gelu.
        dropout: probability that an input of a dense layer is dropped, the last layer included.

    Raises:
        InputError: an option has no such value.
    """
    check_choice("activation", activation, ACTIVATIONS)
    check_dropout("dropout", dropout)
    check_positive("dense", *widths)
    layers = nn.Sequential()
    for width in widths:
        layers.extend([nn.Dropout(dropout), nn.Linear(in_features, width), ACTIVATIONS[activation]()])
        in_features = width
    return layers.extend([nn.Dropout(dropout), nn.Linear(in_features, num_outputs)])
