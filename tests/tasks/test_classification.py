from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

from fiducial.config import compose
from fiducial.data.phantom import Phantom
from fiducial.errors import InputError
from fiducial.hardware import Hardware
from fiducial.runs.build import build_data, build_task
from fiducial.tasks.base import Task
from fiducial.tasks.classification import Classification, class_probabilities, loss_target
from fiducial.tasks.gathering import Mean

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 0.0, 0.0]])


def test_softmax_probabilities() -> None:
    expected = np.exp(LOGITS.numpy()) / np.exp(LOGITS.numpy()).sum(1, keepdims=True)
    np.testing.assert_allclose(class_probabilities(LOGITS, "softmax", "multiclass").numpy(), expected, rtol=1e-6)


def test_one_sigmoid_output_gives_two_columns() -> None:
    probabilities = class_probabilities(torch.tensor([[0.0], [2.0]]), "sigmoid", "binary")
    positive = 1 / (1 + np.exp(-2.0))
    np.testing.assert_allclose(probabilities.numpy(), [[0.5, 0.5], [1 - positive, positive]], rtol=1e-6)


def test_labels_are_independent() -> None:
    probabilities = class_probabilities(LOGITS, "sigmoid", "multilabel")
    np.testing.assert_allclose(probabilities.numpy(), 1 / (1 + np.exp(-LOGITS.numpy())), rtol=1e-6)


@pytest.mark.parametrize(
    ("head", "form", "label", "expected"),
    [
        ("softmax", "index", [2, 0], [2, 0]),
        ("softmax", "onehot", [2, 0], [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]),
        ("sigmoid", "index", [1, 0], [[1.0], [0.0]]),
        ("sigmoid", "index", [[1, 0, 1]], [[1.0, 0.0, 1.0]]),
        ("ordinal", "index", [2, 0], [[1.0, 1.0], [0.0, 0.0]]),
    ],
)
def test_loss_target(head: Any, form: str, label: Any, expected: Any) -> None:
    target = loss_target(torch.tensor(label), head, form, 3)
    assert target.tolist() == expected
    assert target.dtype == (torch.int64 if form == "index" and head == "softmax" else torch.float32)


def task_of(*overrides: str) -> Task:
    common = ["data.source.num_subjects=200", "data.source.size=[8,8]", "model.widths=[4]"]
    cfg = compose([*common, *overrides]).cfg
    return build_task(cfg, build_data(cfg), Hardware(accelerator="cpu"))


def labels_of(*, prior: list[float], **options: Any) -> Any:
    cases = Phantom(num_subjects=200, size=[8, 8], prior=prior, **options).cases
    return cases.label[cases.split == "train"]


def test_balanced_class_weights_equal_those_of_scikit_learn() -> None:
    prior = [0.6, 0.3, 0.1]
    label = labels_of(prior=prior, target="multiclass", num_classes=3)
    source = ["data.source.target=multiclass", "data.source.num_classes=3", "data.source.prior=[0.6,0.3,0.1]"]
    for loss in ("cross_entropy", "focal"):
        weight = task_of(*source, f"loss={loss}", "loss.weight=balanced").loss.weight
        expected = compute_class_weight("balanced", classes=np.arange(3), y=label)
        np.testing.assert_allclose(weight.numpy(), expected, rtol=1e-6)


def test_balanced_weights_of_the_levels_of_ordered_classes() -> None:
    options = {"target": "ordinal", "num_classes": 4, "prior": [0.4, 0.3, 0.2, 0.1]}
    label = labels_of(**options)
    source = ["data.source.target=ordinal", "data.source.num_classes=4", "data.source.prior=[0.4,0.3,0.2,0.1]"]
    task = task_of(*source, "loss=ordinal", "loss.pos_weight=balanced")
    expected = [(label <= level).sum() / (label > level).sum() for level in range(3)]
    np.testing.assert_allclose(task.loss.pos_weight.numpy(), expected, rtol=1e-6)
    given = task_of(*source, "loss=ordinal", "loss.pos_weight=[1,2,3]").loss.pos_weight
    assert given.tolist() == [1, 2, 3]


@pytest.mark.parametrize("loss", ["loss=bce", "loss=ordinal data.source.target=ordinal"])
def test_weights_that_would_balance_nothing_are_refused(loss: str) -> None:
    with pytest.raises(InputError, match=r"loss\.pos_weight=balanced fits"):
        task_of(*loss.split(), "loss.weight=balanced")


@pytest.mark.parametrize("weight", ["[2]", "[1,2]"])
def test_a_single_output_of_the_focal_loss_is_weighed_by_alpha(weight: str) -> None:
    with pytest.raises(InputError, match=r"loss\.weight is for several labels; of one output loss\.alpha says"):
        task_of("loss=focal_sigmoid", f"loss.weight={weight}")
    labels = ["data.source.target=multilabel", "data.source.prior=[0.5,0.2,0.1,0.1]"]
    assert task_of("loss=focal_sigmoid", "loss.alpha=0.75").loss.alpha == 0.75
    assert task_of(*labels, "loss=focal_sigmoid", "loss.weight=[1,3,1,2]").loss.class_weight.tolist() == [1, 3, 1, 2]


def test_the_weighted_loss_of_an_epoch_does_not_depend_on_the_batches() -> None:
    task = task_of("data.source.prior=[0.9,0.1]", "loss.weight=balanced")
    generator = torch.Generator().manual_seed(0)
    logits, label = torch.randn(50, 2, generator=generator), (torch.rand(50, generator=generator) < 0.1).long()
    task._trainer = SimpleNamespace(world_size=1)
    found = []
    for size in (1, 7, 50):
        mean = Mean()
        for start in range(0, 50, size):
            part = label[start : start + size]
            batch = {"label": part, "valid": len(part), "size": len(part)}
            mean.add(task.loss(logits[start : start + size], part), task.amount(batch))
        found.append(float(mean.compute(torch.device("cpu"))))
    weights = task.loss.weight[label].numpy()
    assert found == pytest.approx([log_loss(label, logits.double().softmax(1), sample_weight=weights)] * 3, rel=1e-5)


def test_balanced_weight_of_the_positive_class() -> None:
    label = labels_of(prior=[0.8, 0.2])
    weight = task_of("data.source.prior=[0.8,0.2]", "loss=bce", "loss.pos_weight=balanced").loss.pos_weight
    assert weight.tolist() == pytest.approx([(label == 0).sum() / (label == 1).sum()])


def test_balanced_weights_of_labels() -> None:
    label = labels_of(prior=[0.5, 0.2, 0.1], target="multilabel", num_classes=3)
    source = ["data.source.target=multilabel", "data.source.num_classes=3", "data.source.prior=[0.5,0.2,0.1]"]
    weight = task_of(*source, "loss=bce", "loss.pos_weight=balanced").loss.pos_weight
    np.testing.assert_allclose(weight.numpy(), (label == 0).sum(0) / (label == 1).sum(0), rtol=1e-6)


def test_weights_that_are_given() -> None:
    assert task_of("loss.weight=[1,3]").loss.weight.tolist() == [1.0, 3.0]


def test_label_smoothing_by_its_formula() -> None:
    task = task_of("loss.label_smoothing=0.1")
    batch = {"image": torch.rand(6, 1, 8, 8), "label": torch.tensor([0, 1, 1, 0, 1, 0])}
    loss, outputs = task.step(batch)
    log_p = outputs["probabilities"].log()
    smooth = torch.nn.functional.one_hot(batch["label"], 2) * 0.9 + 0.1 / 2
    assert loss.item() == pytest.approx(-(smooth * log_p).sum(1).mean().item(), rel=1e-5)


class Bias(nn.Module):
    """A network that gives its parameter for every case."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.tensor([0.3, -0.2]))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.bias.expand(len(image), 2)


def test_scores_come_from_all_cases_not_from_batches() -> None:
    """Batches of different sizes: the mean of batch scores would be wrong."""
    task = Classification(
        model=Bias(), loss=nn.CrossEntropyLoss(), num_outputs=2, target="binary", num_classes=2,
        contract={"head": "softmax"}, optimizer=torch.optim.SGD,
    )  # fmt: skip
    probabilities = torch.tensor([0.9, 0.8, 0.3, 0.6])
    outputs = {
        "probabilities": torch.stack([1 - probabilities, probabilities], dim=1),
        "label": torch.tensor([1, 0, 0, 1]),
    }
    scores = task.scores(outputs)
    assert scores["accuracy"].item() == pytest.approx(3 / 4)
    assert scores["auroc"].item() == pytest.approx(3 / 4)
    assert scores["recall"].item() == pytest.approx(1.0)
    assert scores["specificity"].item() == pytest.approx(1 / 2)
