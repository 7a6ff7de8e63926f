"""Soft overlap of probabilities and masks."""

from __future__ import annotations

from fiducial.types import Float, Tensor


def soft_dice(
    probability: Float[Tensor, "batch classes *spatial"],
    truth: Float[Tensor, "batch classes *spatial"],
    smooth: float = 1e-5,
) -> Tensor:
    """Return the mean over classes of the soft Dice over the whole batch; 1 for a class that nothing has."""
    over = (0, *range(2, probability.ndim))
    both = (probability * truth).sum(over)
    return ((2 * both + smooth) / (probability.sum(over) + truth.sum(over) + smooth)).mean()
