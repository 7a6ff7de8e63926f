"""A network before which missing modalities are replaced by what it learned to put there."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import nn

from fiducial.types import Bool, Float, Tensor


class Filled(nn.Module):
    """Any network, with a learned value in place of a missing channel.

    The value of a missing channel is constant over the image and depends on which others are missing with it:
    `value[c] + sum of together[c, j] over missing j`. So the network can tell what it does not see from an image that
    is dark there. Channels that are there are passed on as they are, bit for bit.

    Args:
        network: gets images without gaps.
        channels: of the images.
    """

    takes_present: ClassVar[bool] = True

    def __init__(self, network: nn.Module, channels: int) -> None:
        super().__init__()
        self.network = network
        self.value = nn.Parameter(torch.zeros(channels))
        self.together = nn.Parameter(torch.zeros(channels, channels))
        self.takes_length = getattr(network, "takes_length", False)
        self.takes_columns = getattr(network, "takes_columns", False)

    def forward(
        self,
        image: Float[Tensor, "batch channels *spatial"],
        *,
        present: Bool[Tensor, "batch channels"] | None = None,
        **beside: Any,
    ) -> Any:
        """Return the network's output.

        Args:
            image: any value may stand in missing channels.
            present: which channels are there; all if None.
            **beside: what else the network takes.
        """
        if present is not None:
            learned = self.value + (~present).to(image.dtype) @ self.together.T
            spatial = [1] * (image.ndim - 2)
            image = torch.where(present.view(*present.shape, *spatial), image, learned.view(*learned.shape, *spatial))
        return self.network(image, **beside)
