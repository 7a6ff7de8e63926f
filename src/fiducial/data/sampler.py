"""Which cases form each batch, on one process or several."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import torch
from torch.utils.data import Sampler

from fiducial.randomness import generator
from fiducial.types import Float, Int, Tensor

Order = Literal["listed", "shuffled", "balanced"]


def epoch_order(
    rows: Int[Tensor, " cases"],
    order: Order,
    *,
    weights: Float[Tensor, " cases"] | None = None,
    seed: int = 0,
    epoch: int = 0,
) -> Int[Tensor, " cases"]:
    """Return the rows in the order in which one epoch visits them.

    "balanced" draws with replacement, each case with a probability proportional to its weight.
    """
    if order == "listed":
        return rows
    draw = generator(seed, "order", epoch)
    if order == "shuffled":
        return rows[torch.randperm(len(rows), generator=draw)]
    assert weights is not None
    return rows[torch.multinomial(weights, len(rows), replacement=True, generator=draw)]


def shards(order: Int[Tensor, " cases"], batch_size: int, world_size: int) -> list[Int[Tensor, " batch"]]:
    """Cut an epoch into global batches of `batch_size`; a remainder too small for all processes joins the last.

    Every process takes part in every batch and every case occurs once, so that metrics need no correction.
    """
    batches = list(order.split(batch_size))
    if len(batches) > 1 and len(batches[-1]) < world_size:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


class BatchSampler(Sampler[list[int]]):
    """Give this process its share of each global batch: rows rank, rank + world_size, …

    Args:
        rows: row numbers of the cases of one split.
        batch_size: cases in a batch, all processes together.
        order: "listed" as in the table, "shuffled", or "balanced" by weights.
        weights: of each case, for "balanced".
        seed: of the run.
        epoch: tells the current epoch.
        rank: number of this process.
        world_size: number of processes.
    """

    def __init__(
        self,
        rows: Int[Tensor, " cases"],
        batch_size: int,
        *,
        order: Order = "listed",
        weights: Float[Tensor, " cases"] | None = None,
        seed: int = 0,
        epoch: Callable[[], int] = lambda: 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        assert len(rows) >= world_size
        self.rows, self.batch_size, self.order, self.weights = rows, batch_size, order, weights
        self.seed, self.epoch, self.rank, self.world_size = seed, epoch, rank, world_size

    def __iter__(self) -> Iterator[list[int]]:
        order = epoch_order(self.rows, self.order, weights=self.weights, seed=self.seed, epoch=self.epoch())
        for batch in shards(order, self.batch_size, self.world_size):
            yield batch[self.rank :: self.world_size].tolist()

    def __len__(self) -> int:
        return len(shards(self.rows, self.batch_size, self.world_size))

    def share(self, local: int, step: int) -> float:
        """Return the factor that turns a mean over `local` cases into this process's part of the global mean."""
        size = len(shards(self.rows, self.batch_size, self.world_size)[step])
        return local * self.world_size / size
