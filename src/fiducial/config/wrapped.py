"""Networks that wrap another network of their group: what the inner one is told about the data.

The option's file names the inner one, and says what it is told in place of some facts:

    defaults:
      - /model@backbone: plain_cnn
    contract:
      instead:
        data.spec.channels: 1
        task.num_outputs: ${model.num_features}

So the inner option's file is the same whether it is wrapped or not, and its class needs no code for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

PART = "backbone"
WRAPPED = f"model.{PART}"


def tell(cfg: DictConfig) -> None:
    """Put what the model's inner network is told into its part of a configuration."""
    content = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(content, dict)
    model = content.get("model")
    if isinstance(model, dict) and wraps(model):
        OmegaConf.update(cfg, WRAPPED, told(model), merge=False)


def told(model: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inner network's part of a model, told what the model says instead of facts."""
    instead = (model.get("contract") or {}).get("instead") or {}
    inner: dict[str, Any] = _replaced(model[PART], {f"${{{fact}}}": value for fact, value in instead.items()})
    requires = (inner.get("contract") or {}).get("requires") or {}
    for fact in instead:
        requires.pop(fact, None)  # it is not the inner network that sees it
    return inner


def wraps(model: Mapping[str, Any]) -> bool:
    """Tell whether an option of the group `model` wraps another; such a one cannot be wrapped itself."""
    return "instead" in (model.get("contract") or {})


def _replaced(value: Any, instead: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(item, instead) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, instead) for item in value]
    if not isinstance(value, str):
        return value
    if value in instead:
        return instead[value]
    for fact, replacement in instead.items():
        value = value.replace(fact, str(replacement))
    return value.replace("${model.", f"${{{WRAPPED}.") if WRAPPED not in value else value
