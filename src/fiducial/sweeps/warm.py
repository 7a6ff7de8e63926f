"""What every run imports, so that a process forked from one that has imported this starts at once."""

import gc

import matplotlib.backends.backend_agg  # noqa: F401
import sklearn.metrics  # noqa: F401
import torch._dynamo  # noqa: F401

import fiducial.runs.outcome
import fiducial.sweeps.worker  # noqa: F401

gc.freeze()  # what is here stays: collecting it again in each job would copy every page of it
