"""The one data module: source → splits → loaders → normalised, augmented batches on the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from fiducial.data.assignment import assigned
from fiducial.data.augment import Augment, Sides
from fiducial.data.balance import balancing_weights, class_counts, refuse_absent
from fiducial.data.boxed import BOXES
from fiducial.data.columns import Encoding
from fiducial.data.dataset import Batch, CaseDataset
from fiducial.data.gate import Gate
from fiducial.data.leakage import Leak
from fiducial.data.masked import MaskedSource
from fiducial.data.modalities import Fill, Gaps, filled
from fiducial.data.patches import PatchDataset, Patches, WholeDataset
from fiducial.data.prepared import Prepare, PreparedCases, axes_of
from fiducial.data.sampler import BatchSampler
from fiducial.data.sides import Partners, axial_plane, check_partners, sides_of
from fiducial.data.source import SPLITS, Cases, Source
from fiducial.data.volumes import refuse_equal_names
from fiducial.errors import InputError, nearest
from fiducial.randomness import generator
from fiducial.types import Float, Int, Tensor

FRAMES = "--R"  # where the axes of sequences lead: frames, rows, and columns from side to side
SAMPLINGS = ("shuffled", "balanced", "fixed")
Channels = float | list[float] | Tensor  # one value for all channels, or one for each


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
        channel_dropout: probability with which each channel of a training image is taken for missing; one always stays.
        missing: channels, by number, that are taken for missing in validation and test.
        fill: what stands for a missing channel: its "mean" over the training split, "zero" (before normalisation), or
            "learned", values that the network learns from training images some of whose channels are missing. A
            network that leaves missing channels out (late_fusion) needs none of them.
        patches: how cases with masks are cut; whole ones are validated and tested.
        prepare: brings cases with masks to one orientation, spacing and range of intensities.
        cache_limit_gib: room on disk for prepared cases.
        fold: number of the fold of the cases that are not tested which validates; the source's own validation split if
            empty.
        num_folds: folds into which these are divided, by subject.
        test_folds: divide all cases, whatever split they are in: `fold` is tested, and the next one validates.
        splits: a file (CSV) of case or subject, and split, that decides instead of the source.
        leave_out: site that is tested; all others train and validate.
        sides: which classes lie on two sides of a patient, and are exchanged where images are mirrored that way:
            "auto" by their names (left lung, LeftLung, kidney_L, lkid; not of the heart, whose sides are no mirror
            images), "none", or names two by two.
        allow: leaks that do not stop a run: shared_subjects, exact_duplicates, near_duplicates, conflicting_labels; and
            identifiers, which DICOM files hold and a run would log.
        check: "auto" looks for near duplicates among few cases only, and skips images that take long to read; "full"
            looks at everything.
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
        channel_dropout: float = 0.0,
        missing: Sequence[int] = (),
        fill: Fill = "mean",
        patches: Patches | None = None,
        prepare: Prepare | None = None,
        cache_limit_gib: float = 50.0,
        fold: int | None = None,
        num_folds: int = 5,
        test_folds: bool = False,
        splits: str | None = None,
        leave_out: str | int | None = None,
        sides: Literal["auto", "none"] | Sequence[str | int] = "auto",
        allow: Sequence[Leak] = (),
        check: Literal["auto", "full"] = "auto",
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
        self.fold, self.num_folds, self.test_folds = fold, num_folds, test_folds
        self.splits, self.leave_out = splits, leave_out
        self.sides: Partners = sides if isinstance(sides, str) else [str(name) for name in sides]
        if not isinstance(source, MaskedSource) and (prepare is not None or patches is not None):
            given = "prepare" if prepare is not None else "patches"
            raise InputError(f"data.{given} is for cases with masks; data.source.size says how large others are")
        self.gate = Gate(allow, full=check == "full")
        self.spec = source.spec
        check_partners(self.sides, self.spec.classes)
        self.batch_size, self.sampling, self.num_workers = batch_size, sampling, num_workers
        self.mean, self.std = _per_channel(mean, self.spec.channels), _per_channel(std, self.spec.channels)
        self.gaps = Gaps(self.spec.channels, dropout=channel_dropout, missing=missing, fill=fill, known=source.present)
        self._encoding: Encoding | None = None
        self.patches, self.prepare, self.cache_limit_gib = patches, prepare, cache_limit_gib
        self.dataset: CaseDataset | WholeDataset | None = None
        self.test_split = "test"
        self.alone = False  # nothing is learned from these cases, see `test_alone`
        self._first_epoch = 0

    def prepare_data(self) -> None:
        """Read the table of cases and refuse one that cannot be trusted; download and decode if needed."""
        self.gate.check_table(self.cases, self.spec, self.splits or self.source.place, alone=self.alone)
        self.setup()
        if self.alone:  # there are no splits that could share images, and columns are encoded as the checkpoint says
            return
        if self.spec.columns:
            _ = self.columns  # a category that nothing can be learned about is refused before anything is learned
        pixels = self.dataset.pixels if isinstance(self.dataset, CaseDataset) else None
        mask = (lambda row: self.prepared[row].mask) if isinstance(self.dataset, WholeDataset) else None
        self.gate.check_images(self.cases, self.spec, pixels, self._image, mask)

    def test_alone(self, split: str) -> None:
        """Test one split of cases that nothing is learned from, or "all" of them, which are the test split then.

        Raises:
            InputError: there is no case in it.
        """
        self.alone = True
        if split == "all":
            self.cases = replace(self.cases, split=np.full(len(self.cases), "test"))
        self.test_split = "test" if split == "all" else split
        if not len(self.cases.where(self.test_split)):
            raise InputError(
                f"there is no case in the split {split}, of {len(self.cases)} in all; --split all takes them all"
            )

    def _image(self, row: int) -> NDArray[Any]:
        return self.prepared[row].image if isinstance(self.dataset, WholeDataset) else np.asarray(self.source.read(row))

    @cached_property
    def cases(self) -> Cases:
        """The table of cases, in the splits that they are used in."""
        return assigned(
            self.source,
            splits=self.splits,
            leave_out=self.leave_out,
            fold=self.fold,
            num_folds=self.num_folds,
            test_folds=self.test_folds,
        )

    def setup(self, stage: str | None = None) -> None:
        """Open the source, once."""
        if self.dataset is None:
            if isinstance(self.source, MaskedSource):
                self._check_masked()
                self.prepared = PreparedCases(self.source, self.prepare, limit_gib=self.cache_limit_gib)
                self.dataset = WholeDataset(self.prepared)
            else:
                self._check_labelled()
                self.dataset = CaseDataset(self.source)

    def _check_masked(self) -> None:
        if self.patches is None:
            raise InputError("data.patches must say how cases with masks are cut: data.patches.size=[64,64]")
        if self.sampling == "balanced":
            raise InputError("data.sampling=balanced is for labels; for masks data.patches.foreground balances classes")
        _ = self._sides  # a class without its other side is refused before anything is learned
        refuse_equal_names(self.cases.case.tolist())

    def _check_labelled(self) -> None:
        if self.spec.target == BOXES and self.sampling == "balanced":
            raise InputError("data.sampling=balanced is for labels; these cases have boxes")
        if self.augment is not None:
            self.augment.check_axes(self.spec.spatial_dims)
            if self.spec.sequence:
                self.augment.refuse_frames()
        _ = self._sides  # as above

    def train_dataloader(self) -> DataLoader[Any]:
        """Return batches of the training split, in the order of each epoch; of masked cases, patches."""
        if isinstance(self.dataset, WholeDataset):
            return self._patch_loader(self.dataset.prepared)
        if isinstance(self.dataset, CaseDataset) and self.dataset.boxes is not None:
            refuse_absent(self.spec, self.box_counts(), "has a box")
        else:
            refuse_absent(self.spec, class_counts(self.cases, self.spec.num_classes), "is")
        weights = balancing_weights(self.cases, self.spec.num_classes) if self.sampling == "balanced" else None
        return self._loader("train", order=self.sampling, weights=weights, epoch=self._epoch)

    def val_dataloader(self) -> DataLoader[Any]:
        """Return batches of the validation split."""
        return self._loader("val")

    def test_dataloader(self) -> DataLoader[Any]:
        """Return batches of the split that is tested, unless set otherwise the test split."""
        return self._loader(self.test_split)

    def whole(self, row: int, device: torch.device) -> Batch:
        """Return one whole case with its mask, ready for the network."""
        assert isinstance(self.dataset, WholeDataset)
        batch = self.on_before_batch_transfer(self.dataset[row], 0)
        return self.on_after_batch_transfer(self.transfer_batch_to_device(batch, device, 0), 0)

    def pixel_counts(self) -> Int[Tensor, " classes"]:
        """Count the pixels of each class in the prepared training cases, where the class is known."""
        counts = torch.zeros(self.spec.num_classes, dtype=torch.int64)
        for row in self.rows("train").tolist():
            sample = self.prepared[row]
            if sample.mask is not None:
                known = sample.mask if sample.region is None else sample.mask[sample.region]
                counts += torch.tensor([np.count_nonzero(known == number) for number in range(len(counts))])
        return counts

    def box_counts(self) -> Int[Tensor, " classes"]:
        """Count the boxes of each class in the training cases."""
        assert isinstance(self.dataset, CaseDataset)
        assert self.dataset.boxes is not None
        label = self.dataset.boxes["box_label"][self.rows("train")]
        return label[label >= 0].bincount(minlength=self.spec.num_classes)

    @cached_property
    def columns(self) -> Float[Tensor, "cases features"]:
        """Features from the table's columns, encoded by what the training split says."""
        covariates = self.source.covariates
        assert covariates is not None
        if self._encoding is None:
            self._encoding = Encoding.of(covariates, self.cases.where("train"))
        return torch.from_numpy(self._encoding(covariates, self.cases.case.tolist()))

    @property
    def fill_value(self) -> Float[Tensor, " channels"]:
        """What a missing channel holds, normalised; 0 where the network learns it."""
        if self.gaps.fill == "learned":
            return torch.zeros(self.spec.channels)
        if self.gaps.needs_means:
            rows = self.rows("train").tolist()
            self.gaps.learn_means((self._image(row) for row in rows), rows)
        return (self.gaps.value - self.mean) / self.std

    def rows(self, split: str) -> Int[Tensor, " cases"]:
        """Return the row numbers of one split."""
        assert split in SPLITS
        return torch.from_numpy(self.cases.where(split))

    def state_dict(self) -> dict[str, Any]:
        """Return the number of the epoch that comes next, and what was learned about channels and columns."""
        encoding = None if self._encoding is None else self._encoding.state()
        return {"epoch": self._epoch(), "channel_means": self.gaps.means, "encoding": encoding}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the number of the epoch that comes next: workers start on it before the trainer's own is restored.

        What stands for missing values is what the training said, whatever data are tested.

        Raises:
            InputError: channels are missing of cases that nothing is learned from, and the training had no need to say.
        """
        self._first_epoch, self.gaps.means = state_dict["epoch"], state_dict.get("channel_means")
        if self.alone and self.gaps.needs_means and (self.gaps.known is not None or self.gaps.missing):
            raise InputError(
                "the run learned no means of channels to stand for those that these images lack, since none was "
                "missing in its training: give data.fill=zero, or train with data.channel_dropout=0.3"
            )
        if (encoding := state_dict.get("encoding")) is not None:
            self._encoding = Encoding(**encoding)
            self.__dict__.pop("columns", None)

    def _epoch(self) -> int:
        if self.trainer is None:
            return 0
        done: int = self.trainer.fit_loop.epoch_progress.current.processed  # type: ignore[attr-defined]
        return max(self._first_epoch, done)

    def _patch_loader(self, prepared: PreparedCases) -> DataLoader[Any]:
        assert self.patches is not None
        refuse_absent(self.spec, self.pixel_counts(), "has a pixel")
        dataset = PatchDataset(prepared, self.patches, seed=self.seed, fixed=self.sampling == "fixed")
        each = self.patches.per_case
        items = (self.rows("train")[:, None] * each + torch.arange(each)).flatten()
        size = len(items) if self.batch_size == "full" else int(self.batch_size)
        return self._over(dataset, items, size, order=self.sampling, epoch=self._epoch)

    def _loader(self, split: str, **options: Any) -> DataLoader[Any]:
        assert self.dataset is not None
        if isinstance(self.dataset, WholeDataset):
            size = self.trainer.world_size if self.trainer else 1  # cases differ in size: each process takes one
        else:
            size = len(self.rows("train")) if self.batch_size == "full" else int(self.batch_size)
        return self._over(self.dataset, self.rows(split), size, **options)

    def _over(
        self, dataset: Dataset[Batch | InputError], rows: Int[Tensor, " cases"], batch_size: int, **options: Any
    ) -> DataLoader[Any]:
        sampler = BatchSampler(
            rows,
            batch_size,
            seed=self.seed,
            rank=self.trainer.global_rank if self.trainer else 0,
            world_size=self.trainer.world_size if self.trainer else 1,
            **options,
        )
        workers = self._workers(dataset)
        return DataLoader(
            dataset,
            batch_sampler=sampler,
            collate_fn=_unchanged,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),  # a loader seeds its workers, and must not draw from the global generator
        )

    def _workers(self, dataset: Dataset[Batch | InputError]) -> int:
        if self.num_workers is not None:
            return self.num_workers
        quick = not isinstance(dataset, CaseDataset) or dataset.pixels is not None  # prepared cases are mapped
        return 0 if quick else min(4, torch.get_num_threads())

    def on_before_batch_transfer(self, batch: Batch | InputError, dataloader_idx: int) -> Batch:
        """Raise what went wrong with a batch where it was read."""
        if isinstance(batch, InputError):
            raise batch
        if self.spec.columns:
            batch["columns"] = self.columns[batch["row"]]
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
            draw = generator(*parts, device=image.device)
            if "mask" in batch:
                image, batch["mask"], batch["region"] = self.augment.with_masks(
                    image,
                    batch["mask"],
                    batch["region"],
                    draw,
                    self._sides,
                    plane=axial_plane(self.axes),
                    spacing=batch["spacing"],
                )
            elif "boxes" in batch:
                boxes = batch["boxes"], batch["box_label"]
                image, batch["boxes"], batch["box_label"] = self.augment.with_boxes(image, *boxes, draw, self._sides)
            else:
                how = draw, self._sides, batch.get("length")
                image, batch["label"] = self.augment.with_labels(image, batch["label"], *how)
        image = standardise(image, self.mean, self.std)
        training = bool(trainer and trainer.training)
        follows = (self.seed, "channels", batch["epoch"], batch["step"], trainer.global_rank if trainer else 0)
        present = self.gaps.present(batch["row"], follows, training=training, device=image.device)
        if present is not None:
            image, batch["present"] = filled(image, present, self.fill_value), present
        batch["image"] = image
        if "mask" in batch:
            batch["mask"] = batch["mask"].long()
        return batch

    @property
    def axes(self) -> str | None:
        """Where each spatial axis of prepared volumes leads, such as RAS; None for pictures."""
        return axes_of(self.prepare, self.spec.spatial_dims)

    @property
    def _sides(self) -> Sides | None:
        flips = self.augment.flip_axes if self.augment else ()
        axes = FRAMES if self.spec.sequence else self.axes
        return sides_of(
            flips,
            axes=axes,
            dims=self.spec.spatial_dims,
            classes=self.spec.classes,
            partners=self.sides,
            turned=isinstance(self.source, MaskedSource),
        )


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
