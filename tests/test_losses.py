"""Losses against hand-computed values; every option of the group `loss` takes what its contract says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch.nn import functional as F

from fiducial.losses import FocalLoss, levels, ordinal_probabilities
from fiducial.tasks.classification import class_probabilities, loss_target

torch.set_num_threads(1)
FOLDER = Path(__file__).parents[1] / "conf" / "loss"
OPTIONS = sorted(file.stem for file in FOLDER.glob("*.yaml"))
OPTIONS_BY_TARGET = [
    (option, target)
    for option in OPTIONS
    for target in OmegaConf.load(FOLDER / f"{option}.yaml").contract.requires["data.spec.target"]
    if target not in ("mask", "boxes")  # tests/losses/test_mask_losses.py, test_detection_loss.py
]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def load(option: str, **arguments: Any) -> tuple[Any, Any]:
    """Return an option's loss and its contract."""
    node = OmegaConf.load(FOLDER / f"{option}.yaml")
    contract = node.pop("contract")
    return instantiate(node, **arguments), contract


def test_levels_say_which_thresholds_a_class_is_above() -> None:
    expected = [[0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
    assert levels(torch.arange(5), 5).tolist() == expected


def test_ordinal_probabilities_by_hand() -> None:
    """P(above 0) = 0.8 and P(above 1) = 0.3 leave 0.2, 0.5 and 0.3."""
    logits = torch.logit(torch.tensor([[0.8, 0.3]], dtype=torch.float64))
    assert ordinal_probabilities(logits)[0].tolist() == pytest.approx([0.2, 0.5, 0.3])


def test_ordinal_thresholds_that_contradict_each_other_are_cut() -> None:
    """P(above 1) = 0.7 cannot exceed P(above 0) = 0.4: class 1 gets nothing."""
    logits = torch.logit(torch.tensor([[0.4, 0.7, 0.1]], dtype=torch.float64))
    assert ordinal_probabilities(logits)[0].tolist() == pytest.approx([0.6, 0.0, 0.3, 0.1])


def test_ordinal_probabilities_are_probabilities() -> None:
    probabilities = ordinal_probabilities(5 * torch.randn(200, 6))
    assert probabilities.shape == (200, 7)
    assert bool((probabilities >= 0).all())
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(200))


def test_a_higher_logit_never_lowers_the_expected_class() -> None:
    logits = torch.randn(50, 4, dtype=torch.float64)
    classes = torch.arange(5, dtype=torch.float64)
    before = ordinal_probabilities(logits) @ classes
    for k in range(4):
        raised = logits.clone()
        raised[:, k] += 0.5
        assert bool((ordinal_probabilities(raised) @ classes >= before - 1e-12).all())


def test_ordinal_probabilities_are_the_inverse_of_levels() -> None:
    """Logits that are sure of a class's levels give that class."""
    probabilities = ordinal_probabilities(100 * (levels(torch.arange(4), 4) - 0.5))
    torch.testing.assert_close(probabilities, torch.eye(4))


@pytest.mark.parametrize("weight", [None, torch.tensor([0.5, 1.0, 3.0])])
def test_focal_loss_at_gamma_0_is_cross_entropy(weight: torch.Tensor | None) -> None:
    logits, labels = 3 * torch.randn(20, 3), torch.randint(3, (20,))
    expected = F.cross_entropy(logits, labels, weight=weight)
    torch.testing.assert_close(FocalLoss(gamma=0, weight=weight)(logits, labels), expected)


@pytest.mark.parametrize("gamma", [0.5, 2.0, 5.0])
def test_focal_loss_by_hand(gamma: float) -> None:
    """FL(p) = -(1 - p)^gamma log p of the true class (Lin et al. 2017, eq. 4)."""
    p = torch.tensor([[0.9, 0.1], [0.6, 0.4]], dtype=torch.float64)
    losses = -((1 - torch.tensor([0.9, 0.4])) ** gamma) * torch.tensor([0.9, 0.4]).log()
    loss = FocalLoss(gamma=gamma)(p.log(), torch.tensor([0, 1]))
    assert float(loss) == pytest.approx(float(losses.mean()), rel=1e-6)
    weighted = FocalLoss(gamma=gamma, weight=torch.tensor([1.0, 3.0]))(p.log(), torch.tensor([0, 1]))
    assert float(weighted) == pytest.approx(float(losses[0] + 3 * losses[1]) / 4, rel=1e-6)


def test_alpha_of_the_sigmoid_focal_loss_weighs_positives() -> None:
    """FL(p) = -alpha_t (1 - p_t)^gamma log p_t (Lin et al. 2017, eq. 5)."""
    loss, _ = load("focal_sigmoid", alpha=0.75)
    p = torch.tensor([[0.8], [0.3]])
    expected = [0.75 * 0.2**2 * -torch.tensor(0.8).log(), 0.25 * 0.3**2 * -torch.tensor(0.7).log()]
    assert float(loss(p.logit(), torch.tensor([[1.0], [0.0]]))) == pytest.approx(float(sum(expected)) / 2, rel=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_loss_of_a_case_that_is_certain_has_a_gradient(gamma: float) -> None:
    logits = torch.tensor([[80.0, 0.0], [0.0, 80.0]], requires_grad=True)
    FocalLoss(gamma=gamma)(logits, torch.tensor([0, 0])).backward()
    assert logits.grad is not None
    assert bool(logits.grad.isfinite().all())
    assert logits.grad[1].abs().min() > 0.4  # wrong with certainty: the whole gradient of cross-entropy


def outputs_of(head: str, target: str, num_classes: int) -> int:
    return {"ordinal": num_classes - 1, "softmax": num_classes}.get(head, 1 if target == "binary" else num_classes)


@pytest.mark.parametrize(("option", "target"), OPTIONS_BY_TARGET)
def test_option_takes_what_its_contract_says(option: str, target: str) -> None:
    loss, contract = load(option)
    num_classes = 2 if target == "binary" else 4
    labels = torch.randint(2, (6, 4)) if target == "multilabel" else torch.randint(num_classes, (6,))
    logits = torch.randn(6, outputs_of(contract.head, target, num_classes), requires_grad=True)
    given = class_probabilities(logits, contract.head, target) if contract.get("input") == "probabilities" else logits
    value = loss(given, loss_target(labels, contract.head, contract.get("target", "index"), num_classes))
    value.backward()
    assert value.shape == ()
    assert value > 0
    assert logits.grad is not None
    assert bool((logits.grad.abs().sum(dim=1) > 0).all())


@pytest.mark.parametrize(("option", "target"), OPTIONS_BY_TARGET)
def test_option_is_least_where_the_network_is_right(option: str, target: str) -> None:
    """The loss of sure and right outputs is about 0, and that of sure and wrong ones is much more."""
    loss, contract = load(option)
    num_classes = 2 if target == "binary" else 4
    labels = torch.tensor([[0, 1, 0, 1], [1, 0, 0, 1]]) if target == "multilabel" else torch.tensor([0, 1])
    head = contract.head
    flags = F.one_hot(labels, num_classes).float() if head == "softmax" else loss_target(labels, head, "", num_classes)
    wanted = loss_target(labels, head, contract.get("target", "index"), num_classes)

    def value(logits: torch.Tensor) -> float:
        given = class_probabilities(logits, head, target) if contract.get("input") == "probabilities" else logits
        return float(loss(given, wanted))

    assert value(40 * (flags - 0.5)) == pytest.approx(0, abs=1e-6)
    assert value(-40 * (flags - 0.5)) > 0.3


def test_mse_is_the_brier_score() -> None:
    """Brier's score sums over classes, `MSELoss` takes their mean."""
    loss, contract = load("mse")
    p = torch.tensor([[0.7, 0.2, 0.1], [0.3, 0.3, 0.4]])
    labels = torch.tensor([0, 1])
    brier = (0.3**2 + 0.2**2 + 0.1**2 + 0.3**2 + 0.7**2 + 0.4**2) / 2
    given = class_probabilities(p.log(), contract.head, "multiclass")
    assert float(loss(given, loss_target(labels, contract.head, contract.target, 3))) == pytest.approx(brier / 3)


def test_mae_is_twice_the_doubt_divided_by_the_classes() -> None:
    """The absolute errors of a case sum to 2 (1 - p) (Ghosh et al. 2017)."""
    loss, contract = load("mae")
    given = class_probabilities(torch.tensor([[0.7, 0.2, 0.1]]).log(), contract.head, "multiclass")
    assert float(loss(given, loss_target(torch.tensor([1]), contract.head, contract.target, 3))) == pytest.approx(
        1.6 / 3
    )
