"""The one data module: source → splits → loaders → normalised, augmented batches on the device."""

from __future__ import annotations

from typing import Any, Literal

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from fiducial.data.augment import Augment
from fiducial.data.checks import check
from fiducial.data.dataset import Batch, CaseDataset
from fiducial.data.sampler import BatchSampler
from fiducial.data.source import SPLITS, Cases, Source
from fiducial.errors import InputError, nearest
from fiducial.randomness import generator
from fiducial.types import Float, Int, Tensor

SAMPLINGS = ("shuffled", "balanced", "fixed")
Channels = float | list[float] | Tensor  # one value for all channels, or one for each


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

    A batch holds what `CaseDataset` says, with `image` float32 `(batch, channels, *spatial)` normalised to
    `(x - mean) / std`, x in 0..1.

    Args:
        source: where cases come from.
        batch_size: cases in a batch, all processes together, or "full" for the whole training split.
        sampling: order of the training cases, "shuffled", "balanced" (with replacement, classes alike often),
            or "fixed" (shuffled, the same in every epoch).
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
        sampling: Literal["shuffled", "balanced", "fixed"] = "shuffled",
        mean: float | list[float] = 0.5,
        std: float | list[float] = 0.5,
        num_workers: int | None = None,
        augment: Augment | None = None,
        seed: int = 0,
        spec: Any = None,
    ) -> None:
        super().__init__()
        if batch_size != "full" and (not isinstance(batch_size, int) or batch_size < 1):
            raise InputError(f"data.batch_size must be at least 1, or full; got {batch_size}")
        if sampling not in SAMPLINGS:
            raise InputError(
                f"data.sampling must be {', '.join(SAMPLINGS)}; got {sampling}{nearest(sampling, SAMPLINGS)}"
            )
        self.source, self.augment, self.seed = source, augment, seed
        self.spec = source.spec
        self.batch_size, self.sampling, self.num_workers = batch_size, sampling, num_workers
        self.mean, self.std = _per_channel(mean, self.spec.channels), _per_channel(std, self.spec.channels)
        self.dataset: CaseDataset | None = None
        self.test_split = "test"
        self._first_epoch = 0

    def prepare_data(self) -> None:
        """Read the table of cases and refuse one that cannot be trusted; download and decode if needed."""
        check(self.source.cases, self.spec)
        self.setup()

    def setup(self, stage: str | None = None) -> None:
        """Open the source, once."""
        if self.dataset is None:
            self.cases = self.source.cases
            self.dataset = CaseDataset(self.source)

    def train_dataloader(self) -> DataLoader[Any]:
        """Return batches of the training split, in the order of each epoch."""
        weights = balancing_weights(self.cases, self.spec.num_classes) if self.sampling == "balanced" else None
        return self._loader("train", order=self.sampling, weights=weights, epoch=self._epoch)

    def val_dataloader(self) -> DataLoader[Any]:
        """Return batches of the validation split."""
        return self._loader("val")

    def test_dataloader(self) -> DataLoader[Any]:
        """Return batches of the split that is tested, unless set otherwise the test split."""
        return self._loader(self.test_split)

    def rows(self, split: str) -> Int[Tensor, " cases"]:
        """Return the row numbers of one split."""
        assert split in SPLITS
        return torch.from_numpy(self.cases.where(split))

    def state_dict(self) -> dict[str, Any]:
        """Return the number of the epoch that comes next."""
        return {"epoch": self._epoch()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the number of the epoch that comes next: workers start on it before the trainer's own is restored."""
        self._first_epoch = state_dict["epoch"]

    def _epoch(self) -> int:
        if self.trainer is None:
            return 0
        done: int = self.trainer.fit_loop.epoch_progress.current.processed  # type: ignore[attr-defined]
        return max(self._first_epoch, done)

    def _loader(self, split: str, **options: Any) -> DataLoader[Any]:
        sampler = BatchSampler(
            self.rows(split),
            len(self.rows("train")) if self.batch_size == "full" else int(self.batch_size),
            seed=self.seed,
            rank=self.trainer.global_rank if self.trainer else 0,
            world_size=self.trainer.world_size if self.trainer else 1,
            **options,
        )
        assert self.dataset is not None
        workers = self._workers(self.dataset)
        return DataLoader(
            self.dataset,
            batch_sampler=sampler,
            collate_fn=_unchanged,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),  # a loader seeds its workers, and must not draw from the global generator
        )

    def _workers(self, dataset: CaseDataset) -> int:
        if self.num_workers is not None:
            return self.num_workers
        return 0 if dataset.pixels is not None else min(4, torch.get_num_threads())

    def on_before_batch_transfer(self, batch: Batch | InputError, dataloader_idx: int) -> Batch:
        """Raise what went wrong with a batch where it was read."""
        if isinstance(batch, InputError):
            raise batch
        return batch

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Put a batch's tensors on the device."""
        if device.type == "cpu":
            return batch
        return {k: v.to(device, non_blocking=True) if isinstance(v, Tensor) else v for k, v in batch.items()}

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Scale and normalise images on the device; augment them in training."""
        image = in_unit_range(batch["image"])
        trainer = self.trainer
        if self.augment is not None and trainer and trainer.training:
            parts = (self.seed, "augment", batch["epoch"], batch["step"], trainer.global_rank)
            image = self.augment(image, generator(*parts, device=image.device))
        batch["image"] = standardise(image, self.mean, self.std)
        return batch


def in_unit_range(image: Tensor) -> Float[Tensor, "batch channels *spatial"]:
    """Return images as float32 in 0..1; uint8 is divided by 255, float is taken as it is."""
    return image.float().div_(255) if image.dtype == torch.uint8 else image


def standardise(
    image: Float[Tensor, "batch channels *spatial"], mean: Channels, std: Channels
) -> Float[Tensor, "batch channels *spatial"]:
    """Return `(image - mean) / std`, with one value for all channels or one for each."""
    shape = (1, -1, *[1] * (image.ndim - 2))
    centre, scale = (torch.as_tensor(v, dtype=torch.float32, device=image.device).view(shape) for v in (mean, std))
    return (image - centre) / scale


def _per_channel(value: float | list[float], channels: int) -> Float[Tensor, " channels"]:
    tensor = torch.as_tensor(value, dtype=torch.float32).flatten()
    if len(tensor) not in (1, channels):
        raise InputError(f"data.mean and data.std take one value or {channels}, one per channel; got {len(tensor)}")
    return tensor


def _unchanged(batch: Any) -> Any:
    """The dataset gives whole batches."""
    return batch
