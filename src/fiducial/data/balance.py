"""How many training cases each class has, and the weights that make classes equal."""

from __future__ import annotations

import torch

from fiducial.data.source import Cases, Spec
from fiducial.errors import InputError
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


def refuse_absent(spec: Spec, counts: Int[Tensor, " classes"], what: str) -> None:
    """Refuse to learn where a class has nothing to be learned from.

    Args:
        spec: names the classes.
        counts: of each class in the training split.
        what: is counted, to follow "no training case".

    Raises:
        InputError: naming the classes.
    """
    absent = [name for name, count in zip(spec.classes, counts, strict=True) if not count]
    if absent:
        raise InputError(
            f"no training case {what} of class {', '.join(absent)}: nothing can be learned about it. Leave it "
            "out of the classes, or draw other splits with data.source.seed=…"
        )
