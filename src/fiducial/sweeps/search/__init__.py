"""Settings proposed by Optuna, trial by trial; a trial is a run.

    space       what is searched
    grammar     a space in Hydra's override grammar
    samplers    what proposes settings, and what ends runs that are not worth going on with
    storage     the database of all trials
    outage      a database that does not answer for a while
    results     what a run tells a search
    study       the trials of one search: which there are, which comes next
    pictures    from trials to pictures
    search      a search: which run is next, and what came of the last one
    sweeper     the group `search` as a Hydra sweeper

Importing this package imports neither torch nor Optuna.
"""

from __future__ import annotations

from fiducial.sweeps.search.sweeper import OptunaSweeper

__all__ = ["OptunaSweeper"]
