"""Scores of a classifier from the probabilities of all cases of an epoch, in torch, on the CPU.

One rule holds for every score: it is a mean of ratios, one a class (or a label), and a ratio whose
denominator is zero is left out of the mean; a mean with nothing left is NaN. An absent class therefore never
counts as a silent 0. This is scikit-learn's `zero_division=nan`.

| score | denominator of a class | binary | multiclass, ordinal | multilabel |
|---|---|---|---|---|
| accuracy | all cases | micro | micro | mean over labels, at 0.5 (MedMNIST's ACC) |
| recall | cases of the class | positive class | macro | macro |
| specificity | cases of the other classes | positive class | macro | macro |
| precision | cases predicted as the class | positive class | macro | macro |
| f1 | cases of, or predicted as, the class | positive class | macro | macro |
| balanced_accuracy | cases of the class | mean recall | mean recall | mean of (recall + specificity) / 2 |
| auroc | needs both kinds of case | positive class | one-versus-rest, macro | macro |
| average_precision | cases of the class | positive class | one-versus-rest, macro | macro |
| calibration_error | all cases | positive class | confidence of the prediction | macro |

Ordinal targets add `quadratic_kappa` and `mae` (in class steps). `fiducial.statistics` has the same scores in
NumPy, with weights and intervals.
"""

from __future__ import annotations

import torch
from torchmetrics.functional.classification import (
    binary_auroc,
    binary_average_precision,
    multiclass_cohen_kappa,
    multiclass_confusion_matrix,
    multilabel_confusion_matrix,
)

from fiducial.types import Float, Int, Tensor

NUM_BINS = 15


def predicted_labels(
    probabilities: Float[Tensor, "cases classes"], target: str
) -> Int[Tensor, " cases"] | Int[Tensor, "cases classes"]:
    """Return the most probable class of each case, the first on a tie; for multilabel, flags `p > 0.5`."""
    if target == "multilabel":
        return (probabilities > 0.5).long()
    return probabilities.argmax(dim=1)


def confusion_matrix(
    probabilities: Float[Tensor, "cases classes"],
    labels: Int[Tensor, " cases"] | Int[Tensor, "cases classes"],
    target: str,
) -> Int[Tensor, "classes classes"] | Int[Tensor, "classes 2 2"]:
    """Return counts, true classes in rows, predicted ones in columns; for multilabel, one table a label."""
    num_classes = probabilities.shape[1]
    predicted = predicted_labels(probabilities, target)
    count = multilabel_confusion_matrix if target == "multilabel" else multiclass_confusion_matrix
    return count(predicted, labels, num_classes, validate_args=False)


def calibration_error(
    confidences: Float[Tensor, " cases"], outcomes: Int[Tensor, " cases"], num_bins: int = NUM_BINS
) -> Tensor:
    """Return the expected calibration error: the mean gap of confidence and outcome over equal-width bins.

    Bins are closed on the left, the last on both sides (torchmetrics gives confidence 1.0 a bin of its own).
    Naeini et al., Obtaining well calibrated probabilities using Bayesian binning, AAAI 2015.
    """
    confidences = confidences.double()
    bins = (confidences * num_bins).long().clamp(max=num_bins - 1)
    gaps = torch.zeros(num_bins, dtype=torch.float64).index_add_(0, bins, confidences - outcomes)
    return gaps.abs().sum() / len(confidences)


def classification_scores(
    probabilities: Float[Tensor, "cases classes"],
    labels: Int[Tensor, " cases"] | Int[Tensor, "cases classes"],
    target: str,
) -> dict[str, Tensor]:
    """Return every score by name; see the module's table.

    Args:
        probabilities: rows sum to 1 (binary: column 1 is the positive class); for multilabel, one
            independent probability a label.
        labels: class numbers, or 0/1 flags for multilabel.
        target: "binary", "multiclass", "multilabel" or "ordinal".
    """
    assert len(labels) > 0, "scores of no cases"
    probabilities = probabilities.clamp(0, 1)  # torchmetrics takes 1 + rounding error for a logit
    matrix = confusion_matrix(probabilities, labels, target)
    scores = _count_scores(matrix, target) | _ranking_scores(probabilities, labels, target)
    scores["calibration_error"] = _calibration(probabilities, labels, target)
    if target == "ordinal":
        predicted = predicted_labels(probabilities, target)
        num_classes = probabilities.shape[1]
        scores["quadratic_kappa"] = multiclass_cohen_kappa(
            predicted, labels, num_classes, weights="quadratic", validate_args=False
        )
        scores["mae"] = (predicted - labels).abs().double().mean()
    return {name: value.float() for name, value in scores.items()}


def _count_scores(matrix: Tensor, target: str) -> dict[str, Tensor]:
    if target == "multilabel":
        (tn, fp), (fn, tp) = matrix.double().permute(1, 2, 0)
        accuracy = (tp + tn).sum() / matrix.sum()
        classes = slice(None)
    else:
        counts = matrix.double()
        tp = counts.diagonal()
        fp, fn = counts.sum(0) - tp, counts.sum(1) - tp
        tn = counts.sum() - tp - fp - fn
        accuracy = tp.sum() / counts.sum()
        classes = slice(1, 2) if target == "binary" else slice(None)
    recall, specificity = tp / (tp + fn), tn / (tn + fp)
    balanced = (recall + specificity) / 2 if target == "multilabel" else recall
    return {
        "accuracy": accuracy,
        "balanced_accuracy": balanced.nanmean(),
        "recall": recall[classes].nanmean(),
        "specificity": specificity[classes].nanmean(),
        "precision": (tp / (tp + fp))[classes].nanmean(),
        "f1": (2 * tp / (2 * tp + fp + fn))[classes].nanmean(),
    }


def _ranking_scores(probabilities: Tensor, labels: Tensor, target: str) -> dict[str, Tensor]:
    truths = _one_versus_rest(labels, target, probabilities.shape[1])
    if target == "binary":
        probabilities, truths = probabilities[:, 1:], truths[:, 1:]
    auroc, average_precision = [], []
    for scores, truth in zip(probabilities.T, truths.T, strict=True):
        num_positive = int(truth.sum())
        if num_positive > 0:
            average_precision.append(binary_average_precision(scores, truth, validate_args=False))
        if 0 < num_positive < len(truth):
            auroc.append(binary_auroc(scores, truth, validate_args=False))
    return {"auroc": _mean(auroc), "average_precision": _mean(average_precision)}


def _calibration(probabilities: Tensor, labels: Tensor, target: str) -> Tensor:
    if target == "multilabel":
        pairs = zip(probabilities.T, labels.T, strict=True)
        return _mean([calibration_error(confidences, outcomes) for confidences, outcomes in pairs])
    if target == "binary":
        return calibration_error(probabilities[:, 1], labels)
    correct = predicted_labels(probabilities, target) == labels
    return calibration_error(probabilities.amax(dim=1), correct.long())


def _one_versus_rest(labels: Tensor, target: str, num_classes: int) -> Tensor:
    if target == "multilabel":
        return labels
    return torch.nn.functional.one_hot(labels, num_classes)


def _mean(values: list[Tensor]) -> Tensor:
    return torch.stack(values).mean() if values else torch.tensor(float("nan"))
