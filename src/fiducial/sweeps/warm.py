"""Everything that a run imports, so that a process forked from one that has imported this starts at once."""

import importlib
import sys

MODULES = (
    "fiducial.data.augment",
    "fiducial.models.plain_cnn",
    "fiducial.models.resnet",
    "fiducial.runs.outcome",
    "fiducial.runs.train",
    "fiducial.sweeps.worker",
    "fiducial.tasks.classification",
    "hydra._internal.instantiate._instantiate2",
    "matplotlib.backends.backend_agg",
    "mlflow.store.db_migrations",
    "mlflow.store.tracking.sqlalchemy_store",
    "monai.networks.nets",
    "sklearn.metrics",
    "torch._dynamo",
)

if __name__ != "__main__":
    for name in MODULES:
        try:
            importlib.import_module(name)
        except ImportError as error:  # of an optional part: the run that needs it says so
            print(f"fiducial: {name} could not be imported beforehand: {error}", file=sys.stderr)
