"""Configuration: what can be picked, how it is composed, and what is refused before anything heavy is loaded.

    schema        the root of every configuration
    location      where the groups and their options live
    signature     the arguments a class takes, read from its source without importing it
    contract      which options fit each other
    composition   overrides in, one complete and checked configuration out

Nothing in this package imports torch.
"""

from fiducial.config.composition import Composed, compose
from fiducial.config.location import Groups, conf_dir
from fiducial.config.schema import GROUPS, RunConfig

__all__ = ["GROUPS", "Composed", "Groups", "RunConfig", "compose", "conf_dir"]
