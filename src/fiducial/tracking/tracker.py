"""Where runs are tracked, and how patiently. Built from the group `tracking`; imports nothing heavy."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from fiducial.errors import InputError, nearest
from fiducial.redaction import redact_text

SCHEMES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql", "databricks")
DATABASE = "mlflow.db"


@dataclass(frozen=True, kw_only=True)
class Tracker:
    """A tracking store and how it is used.

    Attributes:
        outputs: the folder of all runs; the embedded store and the list of active runs live in it.
        uri: "embedded" for an MLflow database in `outputs`; "env" for the server in `MLFLOW_TRACKING_URI`
            (whose credentials then never enter a configuration); an MLflow URI; None to send nothing.
        flush_seconds: how often metrics go to the run's journal, and from there to the store.
        patience_seconds: how long the end of a run waits for a store that does not answer.
        system_metrics_seconds: how often load and memory are sampled; 0 turns that off.
        request_seconds: how long one request to a server may take.

    Raises:
        InputError: the URI is missing or of a kind that MLflow does not take; a period is not positive.
    """

    outputs: Path
    uri: str | None = field(default="embedded", repr=False)
    flush_seconds: float = 5.0
    patience_seconds: float = 20.0
    system_metrics_seconds: float = 10.0
    request_seconds: int = 20

    def __post_init__(self) -> None:
        outputs = Path(self.outputs).expanduser().resolve()
        object.__setattr__(self, "outputs", outputs)
        for name in ("flush_seconds", "request_seconds"):
            if not getattr(self, name) > 0:
                raise InputError(f"tracking.{name}: expected a positive number of seconds, got {getattr(self, name)}")
        for name in ("patience_seconds", "system_metrics_seconds"):
            if not getattr(self, name) >= 0:
                raise InputError(f"tracking.{name}: expected 0 or more seconds, got {getattr(self, name)}")
        object.__setattr__(self, "uri", _store_uri(self.uri, outputs))

    @property
    def is_local(self) -> bool:
        """Whether the store is a file on this machine, which answers as long as the disk does."""
        return self.uri is not None and self.uri.startswith("sqlite:")

    @property
    def shown_uri(self) -> str | None:
        """The URI without credentials: what may be written down."""
        return None if self.uri is None else redact_text(self.uri)


def embedded_uri(outputs: Path) -> str:
    """Return the URI of the embedded store of a folder of runs.

    Raises:
        InputError: the path has a character that a database URI cannot hold.
    """
    path = outputs.expanduser().resolve() / DATABASE
    if forbidden := set("?#%") & set(str(path)):
        raise InputError(
            f"outputs: a path with {' '.join(sorted(forbidden))} cannot hold the tracking database, got "
            f"{str(outputs)!r}; choose another folder, or tracking=server or tracking=none"
        )
    return f"sqlite:///{path}"


def is_embedded(uri: str) -> bool:
    """Tell whether a store is the embedded one of some folder of runs."""
    return uri.startswith("sqlite:///") and uri.endswith(f"/{DATABASE}")


def _store_uri(uri: str | None, outputs: Path) -> str | None:
    """Return the URI to connect to: absolute, complete, and of a kind that MLflow takes."""
    if uri is None:
        return None
    if uri == "embedded":
        return embedded_uri(outputs)
    if uri == "env":
        uri = os.environ.get("MLFLOW_TRACKING_URI", "")
        if not uri:
            raise InputError(
                "tracking=server: expected the server's address, got none; "
                "set MLFLOW_TRACKING_URI or tracking.uri=http://host:5000"
            )
    scheme = re.match(r"([A-Za-z]+)(\+\w+)?:", uri)
    if scheme is None and uri == "databricks":
        return uri
    if scheme is None or scheme[1].lower() not in SCHEMES:
        word = scheme[1] if scheme else uri
        raise InputError(
            f"tracking.uri: expected 'embedded', 'env', null or a URI starting with {', '.join(SCHEMES)}; "
            f"got {redact_text(uri)!r}{nearest(word, ['embedded', 'env', *SCHEMES])}. "
            "MLflow no longer writes plain folders (./mlruns)"
        )
    if uri.startswith("sqlite:///") and not uri.startswith("sqlite:////"):
        return f"sqlite:///{Path(uri.removeprefix('sqlite:///')).expanduser().resolve()}"
    return uri
