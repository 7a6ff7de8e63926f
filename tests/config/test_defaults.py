"""Values that say what a class does anyway: defaults as Python itself reports them."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import pytest

from fiducial.config import compose
from fiducial.config.defaults import defaults, implied, known_default, without

CLASSES = ("fiducial.models.plain_cnn.PlainCNN", "fiducial.data.module.DataModule", "torch.optim.Adam")


@pytest.mark.parametrize("target", CLASSES)
def test_defaults_are_those_that_python_knows(target: str) -> None:
    module, _, name = target.rpartition(".")
    parameters = inspect.signature(getattr(importlib.import_module(module), name)).parameters.values()
    expected: dict[str, Any] = {one.name: one.default for one in parameters if one.default is not one.empty}
    found = defaults(target)
    assert found
    listed = {key: list(value) if isinstance(value, tuple) else value for key, value in expected.items()}
    assert dict(found) == {key: listed[key] for key in found}
    assert set(found) == set(expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "same"),
    [
        (["model.kernel_size=3", "model.activation=relu"], True),
        (["model.kernel_size=5"], False),
        (["model.dropout=0"], True),  # 0.0
        (["data.batch_size=64"], True),
        (["data.fold=null"], True),
        (["model.widths=[32,64]"], True),
        (["model.widths=[64,32]"], False),
        (["optimizer.eps=1e-8"], True),
        (["optimizer.amsgrad=true"], False),
        (["optimizer.lr=0.001"], True),  # what the option's file says, which happens to be the default
    ],
)
def test_a_default_written_out_is_no_other_run(given: list[str], same: bool) -> None:
    assert (compose(given).identity() == compose([]).identity()) is same


def test_keys_that_say_what_their_class_does_anyway() -> None:
    net = {"_target_": CLASSES[0], "dropout": 0, "kernel_size": 3, "widths": [8]}
    cfg = {"data": {"_target_": CLASSES[1], "num_folds": 5, "fold": False, "cache_limit_gib": True, "source": net}}
    keys = ["data.num_folds", "data.fold", "data.cache_limit_gib", "data.source.dropout", "data.source.widths", "seed"]
    content = {"data": {"source": {"kernel_size": 3}}}
    found = implied(cfg, [*keys, "data.source.kernel_size"], content)
    assert found == ["data.num_folds", "data.source.dropout"]
    left = {**net}
    del left["dropout"]
    assert without(cfg, found) == {
        "data": {"_target_": CLASSES[1], "fold": False, "cache_limit_gib": True, "source": left}
    }


def test_what_the_wrapped_network_does_anyway() -> None:
    plain = ["data=phantom_table", "model=image_table"]
    for same in ("model.backbone.kernel_size=3", "model.backbone.spatial_dims=2", "model.num_features=32"):
        assert compose([*plain, same]).identity() == compose(plain).identity()
    assert compose([*plain, "model.backbone.kernel_size=5"]).identity() != compose(plain).identity()


def test_a_class_that_is_gone_has_no_known_defaults() -> None:
    assert known_default({"model._target_": "nowhere.Net"}, "model.kernel_size") is None
