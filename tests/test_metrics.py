"""Scores, in torch and in NumPy, are those of scikit-learn, and undefined where they are not defined."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn import metrics as sk

import forked
from fiducial.metrics import calibration_error, classification_scores, confusion_matrix
from fiducial.statistics import scores
from fiducial.tasks.gathering import Gathered

torch.set_num_threads(1)
NUM_BINS = 15
TARGETS = {"binary": 2, "multiclass": 4, "multilabel": 3, "ordinal": 5}

Array = NDArray[Any]


def in_torch(probabilities: Array, labels: Array, target: str) -> dict[str, float]:
    result = classification_scores(torch.from_numpy(probabilities), torch.from_numpy(labels), target)
    return {name: float(value) for name, value in result.items()}


implementations = pytest.mark.parametrize("implementation", [in_torch, scores])


def make(target: str, seed: int, *, num_cases: int = 60, decimals: int | None = None) -> tuple[Array, Array]:
    """Draw float32 probabilities that know something of the labels; few decimals make ties."""
    generator = np.random.default_rng(seed)
    num_classes = TARGETS[target]
    if target == "multilabel":
        labels = (generator.random((num_cases, num_classes)) < 0.3).astype(np.int64)
        logits = generator.normal(size=labels.shape) + labels
        probabilities = 1 / (1 + np.exp(-logits))
    else:
        labels = generator.integers(num_classes, size=num_cases)
        weights = np.exp(generator.normal(size=(num_cases, num_classes)) + np.eye(num_classes)[labels])
        probabilities = weights / weights.sum(axis=1, keepdims=True)
    if decimals is not None:
        probabilities = probabilities.round(decimals)
    if target == "binary":
        probabilities[:, 0] = 1 - probabilities[:, 1]
    return probabilities.astype(np.float32), labels


def reference(probabilities: Array, labels: Array, target: str) -> dict[str, float]:
    """Return scikit-learn's scores, class by class, and a hand-written calibration error."""
    num_classes = probabilities.shape[1]
    if target == "multilabel":
        predicted = (probabilities > 0.5).astype(int)
        truths, calls = labels.T, predicted.T
    else:
        predicted = probabilities.argmax(axis=1)
        truths, calls = ([column == k for k in range(num_classes)] for column in (labels, predicted))
    options = {"zero_division": np.nan}
    recall = [sk.recall_score(t, c, **options) for t, c in zip(truths, calls, strict=True)]
    specificity = [sk.recall_score(t, c, pos_label=0, **options) for t, c in zip(truths, calls, strict=True)]
    balanced = np.add(recall, specificity) / 2 if target == "multilabel" else recall
    shown = [1] if target == "binary" else range(num_classes)
    expected = {
        "accuracy": np.mean(predicted == labels),
        "balanced_accuracy": mean_of_defined(balanced),
        "recall": mean_of_defined([recall[k] for k in shown]),
        "specificity": mean_of_defined([specificity[k] for k in shown]),
        "precision": mean_of_defined([sk.precision_score(truths[k], calls[k], **options) for k in shown]),
        "f1": mean_of_defined([sk.f1_score(truths[k], calls[k], **options) for k in shown]),
        "auroc": mean_of_defined(
            [sk.roc_auc_score(truths[k], probabilities[:, k]) for k in shown if 0 < np.sum(truths[k]) < len(labels)]
        ),
        "average_precision": mean_of_defined(
            [sk.average_precision_score(truths[k], probabilities[:, k]) for k in shown if np.any(truths[k])]
        ),
        "calibration_error": reference_calibration(probabilities, labels, predicted, target),
    }
    if target == "ordinal":
        defined = len({*labels.tolist(), *predicted.tolist()}) > 1
        expected["quadratic_kappa"] = (
            sk.cohen_kappa_score(labels, predicted, weights="quadratic") if defined else np.nan
        )
        expected["mae"] = sk.mean_absolute_error(labels, predicted)
    return expected


def mean_of_defined(values: Any) -> float:
    defined = [value for value in values if not np.isnan(value)]
    return float(np.mean(defined)) if defined else np.nan


def reference_calibration(probabilities: Array, labels: Array, predicted: Array, target: str) -> float:
    if target == "multilabel":
        return float(np.mean([binned_gap(p, t) for p, t in zip(probabilities.T, labels.T, strict=True)]))
    if target == "binary":
        return binned_gap(probabilities[:, 1], labels)
    return binned_gap(probabilities.max(axis=1), predicted == labels)


def binned_gap(confidences: Array, outcomes: Array) -> float:
    """Return the sum over bins of the bin's share times its gap of mean confidence and mean outcome."""
    error = 0.0
    for b in range(NUM_BINS):
        low, high = b / NUM_BINS, (b + 1) / NUM_BINS
        inside = [i for i, p in enumerate(confidences) if low <= p < high or (p == 1 and b == NUM_BINS - 1)]
        if inside:
            gap = np.mean(confidences[inside], dtype=np.float64) - np.mean(outcomes[inside])
            error += len(inside) / len(confidences) * abs(gap)
    return error


@implementations
@pytest.mark.parametrize("decimals", [None, 1], ids=["smooth", "ties"])
@pytest.mark.parametrize("target", TARGETS)
def test_scores_are_those_of_scikit_learn(
    implementation: Callable[..., dict[str, float]], target: str, decimals: int | None
) -> None:
    for seed in range(3):
        probabilities, labels = make(target, seed, decimals=decimals)
        result = implementation(probabilities, labels, target)
        assert result == pytest.approx(reference(probabilities, labels, target), abs=2e-6)


@implementations
@pytest.mark.parametrize("target", TARGETS)
def test_an_absent_class_is_left_out_of_means(implementation: Callable[..., dict[str, float]], target: str) -> None:
    probabilities, labels = make(target, 0)
    if target == "multilabel":
        labels[:, 1], labels[:, 2] = 0, 1
    else:
        labels[labels == 1] = 0
    expected = reference(probabilities, labels, target)
    assert implementation(probabilities, labels, target) == pytest.approx(expected, abs=2e-6, nan_ok=True)
    assert np.isnan(expected["auroc"]) == (target == "binary")


@implementations
@pytest.mark.parametrize("target", TARGETS)
def test_a_single_class_that_is_always_called(implementation: Callable[..., dict[str, float]], target: str) -> None:
    """With no case of another class, whatever needs one is undefined; the rest is perfect."""
    num_classes = TARGETS[target]
    probabilities = np.zeros((7, num_classes), np.float32)
    probabilities[:, 0] = 1
    labels = np.zeros_like(probabilities, dtype=np.int64) if target == "multilabel" else np.zeros(7, np.int64)
    if target == "multilabel":
        probabilities[:] = 0
    result = implementation(probabilities, labels, target)
    assert result == pytest.approx(reference(probabilities, labels, target), nan_ok=True)
    assert result["accuracy"] == 1
    assert result["calibration_error"] == 0
    assert np.isnan(result["auroc"])


@implementations
@pytest.mark.parametrize("target", TARGETS)
def test_probabilities_of_exactly_0_and_1(implementation: Callable[..., dict[str, float]], target: str) -> None:
    probabilities, labels = make(target, 5)
    if target == "multilabel":
        sure = (probabilities > 0.5).astype(np.float32)
    else:
        sure = np.eye(TARGETS[target], dtype=np.float32)[probabilities.argmax(axis=1)]
    expected = reference(sure, labels, target)
    assert implementation(sure, labels, target) == pytest.approx(expected, abs=2e-6)


def test_rounding_above_1_is_no_logit() -> None:
    probabilities, labels = make("binary", 0)
    probabilities[0] = [0, np.nextafter(np.float32(1), np.float32(2))]
    expected = reference(probabilities.clip(0, 1), labels, "binary")
    assert in_torch(probabilities, labels, "binary") == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize("target", TARGETS)
def test_confusion_matrix_is_that_of_scikit_learn(target: str) -> None:
    probabilities, labels = make(target, 1)
    table = confusion_matrix(torch.from_numpy(probabilities), torch.from_numpy(labels), target).numpy()
    if target == "multilabel":
        expected = sk.multilabel_confusion_matrix(labels, probabilities > 0.5)
    else:
        expected = sk.confusion_matrix(labels, probabilities.argmax(axis=1), labels=range(TARGETS[target]))
    np.testing.assert_array_equal(table, expected)


def test_calibration_error_by_hand() -> None:
    """Two bins of two: mean confidences 0.25 and 0.8, shares 0 and 1/2; the gaps' mean is (0.25 + 0.3) / 2."""
    confidences = torch.tensor([0.2, 0.3, 0.6, 1.0])
    assert float(calibration_error(confidences, torch.tensor([0, 0, 1, 0]), num_bins=2)) == pytest.approx(0.275)


def test_kappa_by_hand() -> None:
    """Observed disagreement 1 + 0 + 1 + 0 = 2; by chance a quarter of the sum over all 16 pairs, 14."""
    labels, predicted = np.array([0, 1, 2, 2]), np.array([1, 1, 1, 2])
    expected = 1 - 2 / (14 / 4)
    assert scores(np.eye(3)[predicted], labels, "ordinal")["quadratic_kappa"] == pytest.approx(expected)
    assert in_torch(np.eye(3)[predicted], labels, "ordinal")["quadratic_kappa"] == pytest.approx(expected)


def test_uneven_batches_give_the_scores_of_one() -> None:
    probabilities, labels = map(torch.from_numpy, make("multiclass", 2))
    gathered = Gathered()
    for start, end in [(0, 25), (25, 50), (50, 59), (59, 60)]:
        gathered.add(end - start, probabilities=probabilities[start:end], labels=labels[start:end])
    outputs = gathered.join(torch.device("cpu"))
    whole = classification_scores(probabilities, labels, "multiclass")
    assert classification_scores(outputs["probabilities"], outputs["labels"], "multiclass") == whole


ONE_PROCESS = """
import sys, torch
from torch import distributed
from fiducial.metrics import classification_scores
from fiducial.tasks.gathering import Gathered
rank, folder = int(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
content = torch.load(f"{folder}/cases.pt", weights_only=True)
shard = slice(0, 41) if rank == 0 else slice(41, 60)
gathered = Gathered()
for rows in torch.arange(60)[shard].split(16):
    gathered.add(len(rows), probabilities=content["probabilities"][rows], labels=content["labels"][rows])
outputs = gathered.join(torch.device("cpu"))
torch.save(classification_scores(outputs["probabilities"], outputs["labels"], sys.argv[3]), f"{folder}/{rank}.pt")
distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_with_uneven_shards_give_the_scores_of_one(tmp_path: Path) -> None:
    target = "multiclass"
    probabilities, labels = map(torch.from_numpy, make(target, 3))
    torch.save({"probabilities": probabilities, "labels": labels}, tmp_path / "cases.pt")
    command = [sys.executable, "-c", ONE_PROCESS]
    processes = [forked.Popen([*command, str(rank), str(tmp_path), target]) for rank in (0, 1)]
    assert [process.wait(timeout=300) for process in processes] == [0, 0]
    whole = classification_scores(probabilities, labels, target)
    for rank in (0, 1):
        assert torch.load(tmp_path / f"{rank}.pt", weights_only=True) == whole
