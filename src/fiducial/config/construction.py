"""From a node of the configuration to the object that it describes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from fiducial.errors import InputError


def component(cfg: DictConfig | Mapping[str, Any] | None, **arguments: Any) -> Any:
    """Build what a configuration node describes; its `contract` is for the framework, not for the class.

    Raises:
        InputError: the class refused its arguments.
    """
    if not cfg or "_target_" not in cfg:
        return None
    node = OmegaConf.to_container(cfg, resolve=True) if isinstance(cfg, DictConfig) else cfg
    assert isinstance(node, Mapping)
    node = _without_contracts(node)
    # Plain lists: a checkpoint that holds any other kind cannot be read.
    plain = {"_convert_": "all", **node, "_partial_": True}
    try:
        make = partial(instantiate(plain), **arguments)  # given here, Hydra leaves live objects as they are
        return make if node.get("_partial_") else make()
    except InputError:
        raise
    except Exception as error:
        cause = error.__cause__ if isinstance(error, HydraException) and error.__cause__ else error
        if isinstance(cause, InputError):
            raise cause from error
        raise InputError(f"{node['_target_']} could not be built: {cause}") from error


def _without_contracts(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {key: _without_contracts(value) for key, value in node.items() if key != "contract"}
    return node
