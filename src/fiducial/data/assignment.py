"""Which split each case is in: as the source has it, or as the configuration changes it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fiducial.data.source import Cases, Source, cases_of
from fiducial.data.split_file import from_file
from fiducial.data.splits import with_fold
from fiducial.errors import InputError, nearest

NUM_FOLDS = 5


def assigned(
    source: Source,
    *,
    splits: str | Path | None = None,
    leave_out: str | int | None = None,
    fold: int | None = None,
    num_folds: int = NUM_FOLDS,
    test_folds: bool = False,
) -> Cases:
    """Return a source's cases with their splits.

    Args:
        source: of the cases.
        splits: a file that gives the splits, see `from_file`; the source's own if empty.
        leave_out: site whose cases are tested, all others being divided into folds.
        fold: number of the fold of the cases that are not tested which validates; with `leave_out` 0 if empty.
        num_folds: folds into which these are divided, by subject.
        test_folds: divide all cases, whatever split they are in: `fold` is tested, and the next one validates.

    Raises:
        InputError: the options exclude each other, or the file, site or fold cannot be used.
    """
    if splits is not None and leave_out is not None:
        raise InputError("data.splits and data.leave_out both say what is tested: give one of them")
    if test_folds and (fold is None or splits is not None or leave_out is not None):
        other = "data.splits" if splits is not None else "data.leave_out"
        raise InputError(
            "data.test_folds=true tests one fold after the other: give data.fold=0,1,2,3,4 with -m"
            if fold is None
            else f"data.test_folds and {other} both say what is tested: give one of them"
        )
    if fold is None and leave_out is None and num_folds != NUM_FOLDS:
        raise InputError(f"data.num_folds={num_folds} needs data.fold, the number of the fold that validates")
    cases = cases_of(source)
    if splits is not None:
        cases = from_file(cases, Path(splits))
    if leave_out is not None:
        cases = _without(source, str(leave_out))
        fold = 0 if fold is None else fold
    return cases if fold is None else with_fold(cases, fold, num_folds, test=test_folds)


def _without(source: Source, site: str) -> Cases:
    """Return cases of which those of one site are tested and all others train."""
    import numpy as np

    sites = source.sites
    if sites is None:
        raise InputError(
            f"data.leave_out={site} needs to know sites: data=table or data=mask_table with a column `site`"
        )
    known = sorted(set(sites.tolist()))
    if site not in known:
        raise InputError(f"data.leave_out: there is no site {site!r}{nearest(site, known)} (sites: {', '.join(known)})")
    if len(known) == 1:
        raise InputError(f"data.leave_out={site}: all cases are from this site, none is left to train on")
    return replace(source.cases, split=np.where(sites == site, "test", "train"))
