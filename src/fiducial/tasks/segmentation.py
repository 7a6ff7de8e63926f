"""A class for each pixel of an image or volume."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import distributed, nn
from torch.nn import functional as F

from fiducial.data.module import DataModule
from fiducial.data.preparation import restore
from fiducial.data.sample import Sample
from fiducial.data.sides import sides_of
from fiducial.data.volumes import PREDICTIONS, file_name, write_mask
from fiducial.errors import InputError, nearest
from fiducial.metrics.segmentation import OVERLAP, SCORES, Score, case_scores, columns
from fiducial.tasks.base import Batch, Task
from fiducial.tasks.postprocessing import CORRECTIONS, Choice, Correction, ThresholdChoice, corrected, mask_of
from fiducial.tasks.windows import Windows
from fiducial.types import Bool, Float, Int, Tensor

CERTAIN = 15.0  # a logit whose softmax leaves no loss
SCORES_2D = (*OVERLAP, "auroc", "cldice")
SCORES_3D = (*OVERLAP, "volume_error", "hd95", "surface_dice")

Logits = Float[Tensor, "batch classes *spatial"]
Probabilities = Float[Tensor, "classes *spatial"]
Mask = Int[Tensor, "batch *spatial"]
Region = Bool[Tensor, "batch *spatial"]


def settled(logits: Logits, mask: Mask, region: Region) -> Logits:
    """Return logits that agree with the mask outside the region, where neither loss nor gradient may come from."""
    truth = (2 * F.one_hot(mask, logits.shape[1]).movedim(-1, 1) - 1) * CERTAIN
    return torch.where(region[:, None], logits, truth.to(logits.dtype))


def known(logits: Logits, mask: Mask, region: Region) -> tuple[Logits, Mask]:
    """Return logits and classes of the pixels inside the region, as one image of a single axis."""
    return logits.movedim(1, -1)[region].T[None], mask[region][None]


def loss_target(mask: Mask, form: str, num_classes: int) -> Tensor:
    """Return masks as a loss takes them: "index", "channel" `(batch, 1, *)` or "onehot" `(batch, classes, *)`."""
    if form == "onehot":
        return F.one_hot(mask, num_classes).movedim(-1, 1).float()
    return mask[:, None] if form == "channel" else mask


def heads_of(output: Tensor | Sequence[Tensor], dims: int) -> Sequence[Tensor]:
    """Return the outputs of a network, the final one first; MONAI's DynUNet stacks them along the second axis."""
    if isinstance(output, Tensor):
        return output.unbind(1) if output.ndim == dims + 3 else [output]
    return output


def head_weights(count: int, supervision: str) -> list[float]:
    """Return the weight of each output in the loss: "equal", or "halving" from the final one on; they sum to 1."""
    raw = [1.0 if supervision == "equal" else 0.5**number for number in range(count)]
    return [weight / sum(raw) for weight in raw]


class Segmentation(Task):
    """Learn the class of each pixel; validate and test on whole cases, test on the grid of the case's own files.

    Args:
        model: gives `(batch, num_outputs, *spatial)` logits; in training perhaps several, see `heads_of`.
        loss: takes what its `contract` says.
        num_outputs: of the network; a check on the configuration.
        target: kind of label, "mask".
        num_classes: number of classes, the background among them.
        contract: of the loss: target (index, channel or onehot); pixelwise if it does not see where a pixel lies.
        classes: their names, the background first.
        window: extent of the windows in which whole cases are predicted.
        overlap: share of a window that the next one covers too.
        windows_at_once: windows that the network is given together.
        flips: axes along which test images are mirrored too (test-time augmentation).
        supervision: weights of several outputs in the loss, "halving" or "equal".
        scores: of a test case, out of `fiducial.metrics.segmentation.SCORES`; by default what suits the dimensions.
        tolerance: of the surface Dice, in mm.
        postprocessing: "choose" for each class on the validation split, or a name out of `CORRECTIONS` for all.
        threshold: of two classes, the probability above which a test pixel is called; "choose" on the validation split.
        **options: of `Task`.

    Attributes:
        corrections: what is corrected in predictions of the split that is tested, for each class but the first.
        chosen_threshold: of two classes, in the split that is tested.

    Raises:
        InputError: an option is none of those that there are, or an image cannot be mirrored as asked.
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        loss: nn.Module,
        num_outputs: int,
        target: str,
        num_classes: int,
        contract: dict[str, Any],
        classes: Sequence[str],
        window: Sequence[int],
        overlap: float = 0.5,
        windows_at_once: int = 4,
        flips: Sequence[int] = (),
        supervision: Literal["halving", "equal"] = "halving",
        scores: Sequence[Score] | None = None,
        tolerance: float = 1.0,
        postprocessing: Correction | Literal["choose"] = "choose",
        threshold: float | Literal["choose"] = 0.5,
        **options: Any,
    ) -> None:
        super().__init__(model=model, **options)
        self.loss, self.num_outputs, self.target, self.num_classes = loss, num_outputs, target, num_classes
        self.loss_form: str = contract.get("target", "channel")
        # Losses that take the whole batch for one image can be given the pixels that count, and no others.
        self.pixelwise = bool(contract.get("pixelwise")) and getattr(getattr(loss, "dice", loss), "batch", True)
        self.classes, self.supervision, self.tolerance = tuple(classes), supervision, tolerance
        self.names = tuple(scores) if scores is not None else SCORES_2D if len(window) == 2 else SCORES_3D
        self.windows = Windows(window, overlap=overlap, at_once=windows_at_once, flips=flips)
        self.postprocessing = postprocessing
        self.corrections: tuple[str, ...] = (postprocessing,) * (num_classes - 1)
        self.chosen_threshold = None if threshold == "choose" else threshold
        self._check(threshold)

    def _check(self, threshold: float | str) -> None:
        """Refuse names that there are not, and a threshold that cannot be used."""
        for option, name, known in (
            *(("scores", name, SCORES) for name in self.names),
            ("postprocessing", self.postprocessing, ("choose", *CORRECTIONS)),
        ):
            if name not in known:
                raise InputError(f"task.{option} must be of {', '.join(known)}; got {name}{nearest(name, known)}")
        if threshold != "choose" and not (isinstance(threshold, float) and 0 < threshold < 1):
            raise InputError(f"task.threshold must be choose, or between 0 and 1; got {threshold}")
        if threshold != 0.5 and self.num_classes != 2:
            raise InputError(f"task.threshold is for two classes; there are {self.num_classes}")

    def setup(self, stage: str) -> None:
        """Learn from the data which axis runs from one side of the patient to the other."""
        if self.windows.flips:
            dims, partners = self._data.spec.spatial_dims, self._data.sides
            self.windows.sides = sides_of(
                self.windows.flips, axes=self._data.axes, dims=dims, classes=self.classes, partners=partners
            )

    # -- steps --------------------------------------------------------------------------------------------

    def step(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the mean loss of a batch of patches, or the loss of a whole case; what its scores need."""
        if self.training:
            heads = heads_of(self._network(batch)(batch["image"]), batch["image"].ndim - 2)
            weights = head_weights(len(heads), self.supervision)
            parts = [weight * self._loss(head, batch) for head, weight in zip(heads, weights, strict=True)]
            return torch.stack(parts).sum(), self._counts(heads[0].detach().argmax(1), batch)
        probabilities = self.windows(self._network(batch), batch["image"])
        loss = self._loss(probabilities.clamp(min=1e-7).log(), batch)
        if not self.trainer.testing:
            return loss, self._counts(probabilities.argmax(1), batch)
        return loss, {"case_scores": self._tested(probabilities[0], batch)}

    def _network(self, batch: Batch) -> Callable[[Tensor], Any]:
        """Return the network for patches of a batch's images, or for windows of its only one."""
        beside = {name: value for name, value in self.beside(batch).items() if value is not None}

        def network(image: Tensor) -> Any:
            return self.model(
                self.laid_out(image), **{name: value.expand(len(image), -1) for name, value in beside.items()}
            )

        return network

    def _loss(self, logits: Logits, batch: Batch) -> Tensor:
        mask, region = batch["mask"], batch["region"]
        if not bool(region.any()):
            return 0 * logits.sum()
        if not bool(region.all()):
            if self.pixelwise:
                logits, mask = known(logits, mask, region)
            else:
                logits = settled(logits, mask, region)
        loss: Tensor = self.loss(logits, loss_target(mask, self.loss_form, self.num_classes))
        return loss

    def share(self, batch: Batch) -> float | Tensor:
        """Return this process's weight in the mean loss of a batch: by cases; of patches by the pixels that count."""
        if not (self.pixelwise and self.training):
            return super().share(batch)
        here = batch["region"][: batch["valid"]].sum()
        everywhere = here.clone()
        distributed.all_reduce(everywhere)
        part: Tensor = here / everywhere.clamp(min=1)
        return part

    def _counts(self, predicted: Mask, batch: Batch) -> dict[str, Tensor]:
        """Return for each image and class but the first the pixels in both masks, in the predicted, in the true."""
        mask, region = batch["mask"], batch["region"]
        numbers = torch.arange(1, self.num_classes, device=mask.device).view(-1, 1, *[1] * (mask.ndim - 1))
        called, true = (numbers == predicted) & region, (numbers == mask) & region
        flags = {"both": called & true, "predicted": called, "truth": true}
        return {name: each.flatten(2).sum(2).T for name, each in flags.items()}

    def scores(self, outputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the mean over cases of each score; in training and validation only Dice."""
        if "case_scores" in outputs:
            return dict(zip(columns(self.classes, self.names), outputs["case_scores"].nanmean(0), strict=True))
        both, total = outputs["both"].double(), (outputs["predicted"] + outputs["truth"]).double()
        dice = torch.where(total > 0, 2 * both / total, torch.nan)
        each = zip(columns(self.classes, ["dice"])[1:], dice.T, strict=False)
        return {"dice": dice.nanmean(1).nanmean(), **{name: values.nanmean() for name, values in each}}

    # -- test ---------------------------------------------------------------------------------------------

    @property
    def _data(self) -> DataModule:
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(data, DataModule)
        return data

    def adopt(self, scores: Mapping[str, Any], choices: Sequence[str]) -> None:
        """Take the threshold, and the corrections class by class in their order, that an earlier test chose."""
        found = tuple(scores.get("postprocessing", {}).values())
        if self.postprocessing == "choose" and "postprocessing" in choices and len(found) == len(self.corrections):
            self.corrections = found
        if self.chosen_threshold is None and "threshold" in choices:
            self.chosen_threshold = scores.get("threshold")

    def undecided(self) -> list[str]:
        """Return which of threshold and corrections are to be chosen."""
        open_ones = {"threshold": self.chosen_threshold is None, "postprocessing": "choose" in self.corrections}
        return [name for name, is_open in open_ones.items() if is_open]

    def on_test_start(self) -> None:
        """Choose the threshold and the corrections that do best on the validation split, unless they are known."""
        if self.chosen_threshold is None:
            thresholds = ThresholdChoice()
            for probabilities, truth, inside in self._validated() if self.num_classes == 2 else ():
                thresholds.add(probabilities[1][inside], truth[inside] == 1)
            self.chosen_threshold = thresholds.best()
        if "choose" in self.corrections:
            choice = Choice(self.num_classes)
            for probabilities, truth, inside in self._validated():
                choice.add(mask_of(probabilities, self.chosen_threshold), truth, inside)
            self.corrections = choice.best()

    def _validated(self) -> Iterator[tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.bool_]]]:
        """Yield probabilities, truth and region of each validation case, as it was prepared."""
        for row in self._data.rows("val").tolist():
            batch = self._data.whole(row, self.device)
            if bool(batch["region"].any()):
                with self.trainer.precision_plugin.test_step_context():
                    probabilities = self.windows(self._network(batch), batch["image"])[0].float()
                truth = batch["mask"][0].to(torch.uint8)
                yield probabilities.cpu().numpy(), truth.cpu().numpy(), batch["region"][0].cpu().numpy()

    def _tested(self, probabilities: Probabilities, batch: Batch) -> Float[Tensor, "1 scores"]:
        """Write what was predicted for a case on its own grid, and score it there."""
        row = int(batch["row"][0])
        sample = self._data.prepared.source.sample(row)
        own = on_own_grid(probabilities, self._data.prepared[row], sample)
        mask = corrected(mask_of(own, self.chosen_threshold or 0.5), self.corrections)
        if batch["valid"]:
            write_mask(self._file(row), mask, sample.affine)
        return torch.tensor([list(self.scored(mask, own, sample, self.names).values())], dtype=torch.float64)

    def _file(self, row: int) -> Path:
        return Path(self.trainer.default_root_dir) / PREDICTIONS / file_name(str(self._data.cases.case[row]))

    def scored(
        self, mask: NDArray[np.uint8], probabilities: NDArray[np.float32], sample: Sample, names: Sequence[str]
    ) -> dict[str, float]:
        """Return the scores of a mask on a case's own grid; all undefined where the case has no truth."""
        if sample.mask is None:
            return dict.fromkeys(columns(self.classes, names), float("nan"))
        return case_scores(
            mask,
            sample.mask,
            probabilities,
            classes=self.classes,
            names=names,
            spacing=sample.spacing,
            region=sample.region,
            tolerance=self.tolerance,
        )


def on_own_grid(probabilities: Probabilities, prepared: Sample, sample: Sample) -> NDArray[np.float32]:
    """Return probabilities on the grid of the case's own files; all 0, which is background, outside the prepared."""
    values = probabilities.float().cpu().numpy()
    return restore(values, prepared.affine, (sample.size, sample.affine))
