"""Options that do not fit each other are refused, with what was needed, what came, and what would fit."""

from __future__ import annotations

from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from fiducial.config import Groups, compose
from fiducial.config.contract import check_fit, unmet
from fiducial.errors import InputError


def cfg(requires: Any, size: Any, **model: Any) -> DictConfig:
    return OmegaConf.create({"data": {"spec": {"size": size}}, "model": {"contract": {"requires": requires}, **model}})


@pytest.mark.parametrize(
    ("condition", "size", "holds"),
    [
        ("mask", "mask", True),
        ("masks", "mask", False),  # one value, not its letters
        (7, 7, True),
        (7, 8, False),
        ([[28, 28], [64, 64]], [28, 28], True),
        ([[28, 28], [64, 64]], [32, 32], False),
        ({"at_least": 29}, [29, 40], True),
        ({"at_least": 29}, [40, 28], False),
        ({"at_least": 29}, 29, True),
        ({"at_least": 29}, None, False),
        ({"multiple_of": 4}, [28, 64], True),
        ({"multiple_of": 4}, [28, 30], False),
        ({"multiple_of": [7, 5]}, [28, 30], True),
        ({"multiple_of": [5, 7]}, [28, 30], False),
        ({"at_least": 8, "multiple_of": 4}, [8, 12], True),
        ({"at_least": 8, "multiple_of": 4}, [4, 12], False),
        ({"multiple_of": "${model.patch}"}, [28, 28], True),
        ({"multiple_of": "${model.patch}"}, [28, 29], False),
    ],
)
def test_conditions(condition: Any, size: Any, holds: bool) -> None:
    assert (not list(unmet(cfg({"data.spec.size": condition}, size, patch=7), "model"))) is holds


def test_unknown_condition_is_refused() -> None:
    with pytest.raises(InputError, match="expected a list of values, at_least or multiple_of; got at_most"):
        list(unmet(cfg({"data.spec.size": {"at_most": 3}}, [4]), "model"))


def test_no_contract_fits_everything() -> None:
    check_fit(OmegaConf.create({"model": {"a": 1}, "loss": None}), {"model": "x", "loss": "y"}, Groups.find())


@pytest.mark.parametrize(
    ("overrides", "message", "fitting"),
    [
        (
            ["loss=bce", "data.source.target=multiclass"],
            "loss=bce needs data.spec.target to be binary or multilabel; data=phantom gives multiclass. ",
            {"cross_entropy", "focal", "mae", "mse"},
        ),
        (
            ["data.source.target=multilabel"],
            "loss=cross_entropy needs data.spec.target to be binary, multiclass, ordinal or mask; "
            "data=phantom gives multilabel. ",
            {"bce", "focal_sigmoid"},
        ),
        (
            ["model=densenet121", "data=breastmnist"],
            "model=densenet121 needs data.spec.size to be at least 29; data=breastmnist gives [28, 28]. ",
            {"lenet", "resnet18", "vit"},
        ),
        (
            ["model=vit", "model.patch_size=5"],
            "model=vit needs data.spec.size to be a multiple of 5; data=phantom gives [32, 32]. ",
            {"lenet", "resnet18", "densenet121"},
        ),
        (
            ["model=renet", "data.source.size=[32,32,32]"],
            "model=renet needs data.spec.spatial_dims to be 2; data=phantom gives 3. ",
            {"cnn_rnn", "resnet18"},
        ),
    ],
)
def test_refusals(overrides: list[str], message: str, fitting: set[str]) -> None:
    with pytest.raises(InputError) as raised:
        compose(overrides)
    text = str(raised.value)
    assert text.startswith(message)
    group = message.partition("=")[0]
    named = text.rpartition(f"Options of {group} that fit: ")[2].split(", ")
    assert fitting <= set(named)
    assert message.partition(" ")[0] not in [f"{group}={name}" for name in named]


@pytest.mark.parametrize("patch", ["4", "[8,4]"])
def test_fitting_patches(patch: str) -> None:
    assert compose(["model=vit", f"model.patch_size={patch}"]).choices["model"] == "vit"
