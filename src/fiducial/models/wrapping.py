"""What networks that wrap others share: outputs that may be several, and dense layers on vectors and maps alike."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from fiducial.types import Tensor


def heads(output: Any, image: Tensor) -> list[Tensor]:
    """Return the outputs of a wrapped network, the final one first.

    A network for labels may give hidden states beside its output (MONAI's ViT), which are left out; one for masks
    several outputs in training, MONAI's DynUNet stacked along the second axis.
    """
    if isinstance(output, Tensor):
        return list(output.unbind(1)) if output.ndim == image.ndim + 1 else [output]
    return [head for head in output if isinstance(head, Tensor) and head.ndim in (2, image.ndim)]


def whole(outputs: list[Tensor]) -> Tensor | tuple[Tensor, ...]:
    """Return one output as it is, several as a tuple."""
    return outputs[0] if len(outputs) == 1 else tuple(outputs)


def spread(values: Tensor, like: Tensor) -> Tensor:
    """Return `(batch, features)` as maps of the extent of `like`, or as they are if that has none."""
    return values.view(*values.shape, *[1] * (like.ndim - 2)).expand(-1, -1, *like.shape[2:])


class Everywhere(nn.Sequential):
    """Layers for vectors `(batch, features)`, applied to each pixel of maps `(batch, features, *spatial)`."""

    def forward(self, values: Tensor) -> Tensor:
        """Return the layers' output, in the form of the input."""
        values = values.movedim(1, -1)
        for layer in self:
            values = layer(values)
        return values.movedim(-1, 1)


def joining(num_inputs: int, num_features: int, num_outputs: int) -> Everywhere:
    """Return two dense layers from joined features to outputs."""
    return Everywhere(nn.GELU(), nn.Linear(num_inputs, num_features), nn.GELU(), nn.Linear(num_features, num_outputs))


def chosen(flags: Tensor, values: Tensor, otherwise: Tensor) -> Tensor:
    """Return for each image of a batch its values, or others where its flag is not set."""
    return torch.where(flags.view(-1, *[1] * (values.ndim - 1)), values, otherwise)
