"""Configuration: what can be picked, how it is composed, and what is refused before anything heavy is loaded.

    schema        the root of every configuration
    location      where the groups and their options live
    overrides     what the command line may say
    definition    where a dotted name is defined, found in source files without importing them
    signature     the arguments that a class takes
    docstring     what a docstring says of each of them
    annotation    whether a value fits an annotation
    component     whether the keys of a component are arguments of its class, and their values of the right kind
    limits        which values no run can use
    agreement     which values do not suit the data, or each other
    extent        what blocks of convolution and pooling leave of an image
    defaults      which values say what a class does anyway
    contract      which options fit each other
    wrapped       what a network that another one wraps is told about the data
    composition   overrides in, one complete and checked configuration out
    construction  from a node of the configuration to the object that it describes
    change        which overrides of a run still hold where other options are named
    scalars       a configuration as a flat table of settings
    reference     what can be set of an option

Nothing in this package imports torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fiducial.config.location import Groups, conf_dir
from fiducial.config.schema import GROUPS, SWEEP_GROUPS, RunConfig

if TYPE_CHECKING:
    from fiducial.config.composition import Composed, compose, compose_all
    from fiducial.config.scalars import settings

__all__ = [
    "GROUPS",
    "SWEEP_GROUPS",
    "Composed",
    "Groups",
    "RunConfig",
    "compose",
    "compose_all",
    "conf_dir",
    "settings",
]


def __getattr__(name: str) -> Any:
    """Import Hydra only when something is composed: listing options and completing words do without."""
    if name == "settings":
        from fiducial.config.scalars import settings

        return settings
    if name not in ("Composed", "compose", "compose_all"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fiducial.config import composition

    return getattr(composition, name)
