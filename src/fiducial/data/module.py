"""The one data module: source → splits → loaders → normalised, augmented batches on the device."""

from __future__ import annotations

from typing import Any, Literal

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from fiducial.data.augment import Augment
from fiducial.data.checks import check
from fiducial.data.dataset import Batch, CaseDataset
from fiducial.data.sampler import BatchSampler, Order
from fiducial.data.source import SPLITS, Cases, Source
from fiducial.errors import InputError
from fiducial.randomness import generator
from fiducial.types import Float, Int, Tensor


def class_counts(cases: Cases, num_classes: int) -> Int[Tensor, " classes"]:
    """Count training cases per class; for several labels a case, the cases that carry each label."""
    label = torch.from_numpy(cases.label[cases.where("train")])
    return label.sum(0) if label.ndim == 2 else label.bincount(minlength=num_classes)


def balancing_weights(cases: Cases, num_classes: int) -> Float[Tensor, " cases"]:
    """Return for each training case the weight that gives every class the same share of an epoch.

    A case with several labels takes the weight of its rarest one, or of "none" if it carries no label.
    """
    label = torch.from_numpy(cases.label[cases.where("train")])
    if label.ndim == 1:
        return (1.0 / label.bincount(minlength=num_classes).clamp(min=1).double())[label]
    columns = torch.cat([label, (label.sum(1, keepdim=True) == 0).long()], dim=1)
    weight = 1.0 / columns.sum(0).clamp(min=1).double()
    return (columns * weight).amax(dim=1)


class DataModule(pl.LightningDataModule):
    """Turn a source into batches.

    A batch holds `image` float32 `(batch, channels, *spatial)`, normalised to `(x - mean) / std` with x in
    0..1; `label`; `row`, the number of each case in the source's table; for sequences `length`; in training
    `share`, see `BatchSampler.share`.

    Args:
        source: where cases come from.
        batch_size: cases in a batch, all processes together, or "full" for the whole training split.
        sampling: order of the training cases, "shuffled" or "balanced" (with replacement, classes alike often).
        mean: subtracted from images in 0..1, one value or one per channel.
        std: divides them, likewise.
        num_workers: processes that read images; by default none where all pixels are one array.
        augment: applied to training batches on the device.
        seed: of the run.
        spec: what images are like, as the configuration states it.
    """

    def __init__(
        self,
        source: Source,
        *,
        batch_size: int | Literal["full"] = 64,
        sampling: Literal["shuffled", "balanced"] = "shuffled",
        mean: float | list[float] = 0.5,
        std: float | list[float] = 0.5,
        num_workers: int | None = None,
        augment: Augment | None = None,
        seed: int = 0,
        spec: Any = None,
    ) -> None:
        super().__init__()
        if batch_size != "full" and batch_size < 1:
            raise InputError(f"data.batch_size must be at least 1, or full; got {batch_size}")
        if sampling not in ("shuffled", "balanced"):
            raise InputError(f"data.sampling must be shuffled or balanced; got {sampling}")
        self.source, self.augment, self.seed = source, augment, seed
        self.spec = source.spec
        self.batch_size, self.sampling, self.num_workers = batch_size, sampling, num_workers
        self.mean, self.std = _per_channel(mean, self.spec.channels), _per_channel(std, self.spec.channels)
        self.dataset: CaseDataset | None = None
        self._step = 0

    def prepare_data(self) -> None:
        """Read the table of cases and refuse one that cannot be trusted; download and decode if needed."""
        check(self.source.cases, self.spec)
        self.setup()

    def setup(self, stage: str | None = None) -> None:
        """Open the source, once."""
        if self.dataset is None:
            self.cases = self.source.cases
            self.dataset = CaseDataset(self.source)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return batches of the training split, in the order of this epoch."""
        return self._loader("train", self.sampling)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Return batches of the validation split."""
        return self._loader("val", "listed")

    def test_dataloader(self) -> DataLoader[Batch]:
        """Return batches of the test split."""
        return self._loader("test", "listed")

    def rows(self, split: str) -> Int[Tensor, " cases"]:
        """Return the row numbers of one split."""
        assert split in SPLITS
        return torch.from_numpy(self.cases.where(split))

    def _loader(self, split: str, order: Order) -> DataLoader[Batch]:
        rows = self.rows(split)
        world_size = self.trainer.world_size if self.trainer else 1
        if len(rows) < world_size:
            raise InputError(f"the {split} split has {len(rows)} cases, fewer than the {world_size} processes")
        weights = balancing_weights(self.cases, self.spec.num_classes) if order == "balanced" else None
        sampler = BatchSampler(
            rows,
            len(self.rows("train")) if self.batch_size == "full" else self.batch_size,
            order=order,
            weights=weights,
            seed=self.seed,
            epoch=self._epoch,
            rank=self.trainer.global_rank if self.trainer else 0,
            world_size=world_size,
        )
        if split == "train":
            self._sampler = sampler
        assert self.dataset is not None
        workers = self._workers(self.dataset)
        return DataLoader(
            self.dataset,
            batch_sampler=sampler,
            collate_fn=_unchanged,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
        )

    def _epoch(self) -> int:
        """Return the current epoch; an epoch begins where its order is asked for."""
        self._step = 0
        return self.trainer.current_epoch if self.trainer else 0

    def _workers(self, dataset: CaseDataset) -> int:
        if self.num_workers is not None:
            return self.num_workers
        return 0 if dataset.pixels is not None else min(4, torch.get_num_threads())

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Scale and normalise images on the device; augment them in training."""
        image = batch["image"]
        image = image.float().div_(255) if image.dtype == torch.uint8 else image
        trainer = self.trainer
        if trainer and trainer.training:
            if self.augment is not None:
                parts = (self.seed, "augment", trainer.current_epoch, self._step, trainer.global_rank)
                image = self.augment(image, generator(*parts, device=image.device))
            if trainer.world_size > 1:
                batch["share"] = torch.tensor(self._sampler.share(len(image), self._step), device=image.device)
            self._step += 1
        shape = (1, -1, *[1] * (image.ndim - 2))
        mean, std = (value.to(image.device).view(shape) for value in (self.mean, self.std))
        return batch | {"image": (image - mean) / std}


def _per_channel(value: float | list[float], channels: int) -> Float[Tensor, " channels"]:
    tensor = torch.as_tensor(value, dtype=torch.float32).flatten()
    if len(tensor) not in (1, channels):
        raise InputError(f"data.mean and data.std take one value or {channels}, one per channel; got {len(tensor)}")
    return tensor


def _unchanged(batch: Batch) -> Batch:
    """The dataset gives whole batches."""
    return batch
