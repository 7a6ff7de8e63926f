"""An encoder for each modality, and what they found joined at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

import torch
from torch import nn

from fiducial.models.option import check_positive
from fiducial.models.wrapping import chosen, heads, joining, spread, whole
from fiducial.types import Bool, Float, Tensor

Join = Literal["features", "concatenated", "logits"]


class LateFusion(nn.Module):
    """One network for each channel of the image; what they give is joined, for labels and for masks.

    A missing channel takes no part in an average; in a concatenation, features that are learned stand for its own. So
    what a missing channel holds does not matter.

    Args:
        backbone: builds a network from one channel to `num_features` outputs, vectors or maps.
        in_channels: modalities, 2 or more.
        num_outputs: number of logits.
        num_features: of each modality.
        join: mean "features" of the modalities before common dense layers, features "concatenated" before them, or the
            mean of the "logits" that dense layers of each modality's own give.

    Raises:
        InputError: there are no features.
    """

    takes_present: ClassVar[bool] = True

    def __init__(
        self,
        *,
        backbone: Callable[[], nn.Module],
        in_channels: int,
        num_outputs: int,
        num_features: int = 32,
        join: Join = "features",
    ) -> None:
        super().__init__()
        check_positive("model.num_features", num_features)
        self.join = join
        self.encoders = nn.ModuleList(backbone() for _ in range(in_channels))
        inputs = num_features * in_channels if join == "concatenated" else num_features
        self.dense = nn.ModuleList(
            joining(inputs, num_features, num_outputs) for _ in range(in_channels if join == "logits" else 1)
        )
        self.instead = nn.Parameter(torch.zeros(in_channels, num_features)) if join == "concatenated" else None

    def forward(
        self,
        image: Float[Tensor, "batch channels *spatial"],
        *,
        present: Bool[Tensor, "batch channels"] | None = None,
    ) -> Tensor | tuple[Tensor, ...]:
        """Return logits, of networks with several outputs in training several, the final one first.

        Args:
            image: any value may stand in missing channels.
            present: which channels are there; all if None.
        """
        if present is None:
            present = torch.ones(image.shape[:2], dtype=torch.bool, device=image.device)
        found = [self._encoded(encoder, image[:, [n]], present[:, n]) for n, encoder in enumerate(self.encoders)]
        return whole([self._joined(list(features), present) for features in zip(*found, strict=True)])

    def _encoded(self, encoder: nn.Module, image: Tensor, there: Bool[Tensor, " batch"]) -> list[Tensor]:
        """Return what an encoder gives for the images that are there, and 0 for the others.

        Blanks among them would change the statistics of batch normalisation. A single image is encoded twice, as these
        need a variance, and where there is none a blank stands for it.
        """
        if bool(there.all()):
            return heads(encoder(image), image)
        rows = there.nonzero().flatten()
        taken = rows if len(rows) > 1 else (rows if len(rows) else rows.new_zeros(1)).expand(2)
        outputs = []
        for part in heads(encoder(image[taken]), image):
            every = part.new_zeros(len(image), *part.shape[1:])
            outputs.append(every.index_copy(0, taken[: max(len(rows), 1)], part[: max(len(rows), 1)]))
        return outputs

    def _joined(self, features: list[Tensor], present: Bool[Tensor, "batch channels"]) -> Tensor:
        """Return logits from the features of each modality."""
        if self.instead is not None:
            parts = [
                chosen(present[:, n], part, spread(self.instead[n][None], part)) for n, part in enumerate(features)
            ]
            logits: Tensor = self.dense[0](torch.cat(parts, dim=1))
            return logits
        if self.join == "logits":
            return _mean([dense(part) for dense, part in zip(self.dense, features, strict=True)], present)
        averaged: Tensor = self.dense[0](_mean(features, present))
        return averaged


def _mean(parts: list[Tensor], present: Bool[Tensor, "batch channels"]) -> Tensor:
    """Return the mean over the modalities that are there; 0 where none is."""
    kept = [chosen(present[:, n], part, torch.zeros_like(part)) for n, part in enumerate(parts)]
    count = present.sum(dim=1).clamp(min=1).to(kept[0].dtype)
    return torch.stack(kept).sum(0) / count.view(-1, *[1] * (kept[0].ndim - 1))
