"""Losses that keep thin structures connected."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from fiducial.losses.overlap import soft_dice
from fiducial.types import Float, Int, Tensor

Soft = Float[Tensor, "batch classes *spatial"]
Mask = Int[Tensor, "batch *spatial"]


def soft_skeleton(mask: Soft, steps: int) -> Soft:
    """Return the centre lines of soft masks: what no opening of an erosion brings back.

    Shit et al., clDice - a novel topology-preserving loss function for tubular structure segmentation, CVPR 2021,
    algorithm 1. Erosion is the least value over neighbours across a face, dilation the greatest over all neighbours.

    Args:
        mask: values 0 to 1.
        steps: erosions, at least the greatest radius of a structure in pixels.
    """
    lines = F.relu(mask - _opened(mask))
    for _ in range(steps):
        mask = _eroded(mask)
        fresh = F.relu(mask - _opened(mask))
        lines = lines + F.relu(fresh - lines * fresh)
    return lines


def soft_cldice(probability: Soft, truth: Soft, steps: int = 10, smooth: float = 1.0) -> Tensor:
    """Return the mean over classes of soft clDice over the whole batch: 1 where centre lines agree with masks."""
    over = (0, *range(2, probability.ndim))
    lines, true_lines = soft_skeleton(probability, steps), soft_skeleton(truth, steps)
    precision = ((lines * truth).sum(over) + smooth) / (lines.sum(over) + smooth)
    sensitivity = ((true_lines * probability).sum(over) + smooth) / (true_lines.sum(over) + smooth)
    return (2 * precision * sensitivity / (precision + sensitivity)).mean()


class SoftDiceClDice(nn.Module):
    """`(1 - alpha) * (1 - Dice) + alpha * (1 - clDice)` of the classes but the background.

    Args:
        alpha: weight of clDice.
        steps: erosions, at least the greatest radius of a structure in pixels.
    """

    def __init__(self, alpha: float = 0.5, steps: int = 10) -> None:
        super().__init__()
        self.alpha, self.steps = alpha, steps

    def forward(self, logits: Soft, mask: Mask) -> Tensor:
        """Return the loss of logits against class numbers."""
        probability = logits.softmax(1)[:, 1:]
        truth = F.one_hot(mask, logits.shape[1]).movedim(-1, 1)[:, 1:].to(probability.dtype)
        overlap = 1 - soft_dice(probability, truth)
        return (1 - self.alpha) * overlap + self.alpha * (1 - soft_cldice(probability, truth, self.steps))


def _max_pool(mask: Tensor, size: int | tuple[int, ...]) -> Tensor:
    pool = F.max_pool2d if mask.ndim == 4 else F.max_pool3d
    padding = size // 2 if isinstance(size, int) else tuple(extent // 2 for extent in size)
    pooled: Tensor = pool(mask, size, stride=1, padding=padding)
    return pooled


def _eroded(mask: Tensor) -> Tensor:
    dims = mask.ndim - 2
    along = [tuple(3 if number == axis else 1 for number in range(dims)) for axis in range(dims)]
    parts = torch.stack([-_max_pool(-mask, size) for size in along])
    return parts.amin(0)


def _opened(mask: Tensor) -> Tensor:
    return _max_pool(_eroded(mask), 3)
