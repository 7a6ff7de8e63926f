"""The MLflow store: how it is made without a race, connected to without hanging, and examined."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import re
import sqlite3
import time
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote, urlsplit

from fiducial.errors import InputError
from fiducial.garbage import spared
from fiducial.redaction import redact_text

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger(__name__)

_MODEL_TRAINING = {"mlflow.experimentKind": "custom_model_development"}  # which pages the UI shows
_PREFIX = "sqlite:///"
LOCK_SECONDS = 120.0  # that making or opening a database takes at most, with others in the queue
_LARGE_BYTES = 2 << 30


@dataclass(frozen=True)
class Finding:
    """One thing seen while a store was examined.

    Attributes:
        level: "ok", "warning" (works, but look at it) or "error" (does not work).
        subject: what was examined.
        message: what was seen and, unless it is fine, what to do.
    """

    level: Literal["ok", "warning", "error"]
    subject: str
    message: str


def artifact_root(outputs: Path) -> Path:
    """Return the folder in which the embedded store keeps artifacts."""
    return outputs / "artifacts"


def prepare_mlflow(request_seconds: int = 20) -> None:
    """Set what MLflow reads from the environment, before it is imported; a user's own setting stays.

    A request is not repeated by MLflow itself: the sender does that, with growing pauses.
    """
    settings = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(request_seconds),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # it may hold credentials
    }
    for key, value in settings.items():
        os.environ.setdefault(key, value)


def connect(uri: str, request_seconds: int = 20) -> MlflowClient:
    """Return a client of a store; a SQLite store is made first if it does not exist.

    Raises:
        InputError: the file is not an intact MLflow database.
    """
    prepare_mlflow(request_seconds)
    with spared():
        return _connect(uri)


def _connect(uri: str) -> MlflowClient:
    from mlflow import MlflowClient

    # MLflow's own use of SQLAlchemy 2.1, about which nobody here can do anything
    warnings.filterwarnings("ignore", "The ``noload`` loader strategy", DeprecationWarning)
    for name in ("mlflow.store.db.utils", "mlflow.utils.rest_utils", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what they report is tried again, and said once
    path = database(uri)
    if path is None:
        return MlflowClient(tracking_uri=uri)
    with store_lock(uri):
        if path.exists() and path.stat().st_size > 0:
            check_database(path)
            follow(path)
        else:
            _make_database(path)
        client = MlflowClient(tracking_uri=uri)
        client.get_experiment("0")  # opens the database, while nobody else does
        return client


def experiment_id(client: MlflowClient, uri: str, name: str) -> str:
    """Return the id of an experiment, which is made, or restored if it had been deleted."""
    from mlflow.exceptions import MlflowException

    with store_lock(uri):
        found = client.get_experiment_by_name(name)
        if found is None:
            path = database(uri)
            folder = artifact_root(path.parent) / re.sub(r"[^\w.-]", "_", name) if path else None
            try:
                location = folder.as_uri() if folder else None
                return str(client.create_experiment(name, location, tags=dict(_MODEL_TRAINING)))
            except MlflowException:  # somebody else made it on the server just now, or it cannot be made
                found = client.get_experiment_by_name(name)
                if found is None:
                    raise
        if found.lifecycle_stage == "deleted":
            logger.warning("experiment %r had been deleted in MLflow; restored for a new run", name)
            client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)


def database(uri: str) -> Path | None:
    """Return the file of a SQLite store, None for any other store."""
    return Path(uri.removeprefix(_PREFIX).partition("?")[0]) if uri.startswith(_PREFIX) else None


@contextmanager
def store_lock(uri: str) -> Iterator[None]:
    """Let one process at a time make or open a SQLite store; nothing to do for a server.

    Raises:
        OSError: another process has not come to an end with it for long; it may have been stopped.
    """
    path = database(uri)
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.lock").open("w") as file:
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise OSError(
                        errno.EAGAIN, f"in use by another process for {LOCK_SECONDS:.0f} s", file.name
                    ) from None
                time.sleep(0.02)
        yield


def follow(path: Path) -> int:
    """Let a database that was moved, with the artifacts beside it, find them there; return of how many runs.

    MLflow keeps whole paths. Where the old place is still there, a copy was made, and nothing is changed.
    """
    here = artifact_root(path.parent)
    changed = 0
    with closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=20)) as connection, connection:
        rows = connection.execute("select artifact_location from experiments where artifact_location like 'file://%'")
        roots = {location.rpartition("/")[0] for (location,) in rows}
        for before in roots - {here.as_uri()}:
            place = Path(unquote(urlsplit(before).path))
            if place.name != here.name or place.exists() or not here.is_dir():
                continue
            for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
                done = connection.execute(
                    f"update {table} set {column} = ? || substr({column}, ?) where substr({column}, 1, ?) = ?",
                    (here.as_uri(), len(before) + 1, len(before) + 1, f"{before}/"),
                )
                changed = done.rowcount
    return changed


def check_database(path: Path) -> None:
    """Raise unless a file can be read as an MLflow database.

    It is opened for writing: what a process that was killed has left half done is taken back, as SQLite does only then.

    Raises:
        InputError: with what to do.
    """
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=20)) as connection:
            tables = {name for (name,) in connection.execute("select name from sqlite_master where type='table'")}
    except sqlite3.DatabaseError as error:
        raise InputError(_broken(path, str(error))) from error
    if not {"experiments", "runs", "metrics", "alembic_version"} <= tables:
        raise InputError(_broken(path, "not an MLflow database, or its creation was interrupted"))


def reason(error: BaseException) -> str:
    """Return why a store did not take something, in one line: what to do, or the innermost cause; no credentials."""
    if isinstance(error, InputError):
        return redact_text(str(error))
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    lines = str(error).splitlines() or [""]
    return redact_text(f"{type(error).__name__}: {lines[0]}"[:300])


def health(uri: str) -> list[Finding]:
    """Examine a store: is it reachable, intact, of this MLflow's version; which runs does it call running."""
    path = database(uri)
    findings = _database_health(path) if path else [_server_health(uri)]
    if Path("mlruns").is_dir():
        findings.append(
            Finding(
                "warning",
                "./mlruns",
                "a folder from an older MLflow: plain `mlflow` commands started here use it instead of "
                "the database. Fiducial does not; move it away if you do not need it",
            )
        )
    return findings


def _database_health(path: Path) -> list[Finding]:
    if not path.exists():
        return [Finding("ok", "database", f"{path} does not exist yet; the first run makes it")]
    try:
        check_database(path)
        with closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=20)) as connection:
            (verdict,) = connection.execute("pragma quick_check(1)").fetchone()
            (version,) = connection.execute("select version_num from alembic_version").fetchone()
            (running,) = connection.execute("select count(*) from runs where status='RUNNING'").fetchone()
    except (InputError, sqlite3.DatabaseError) as error:
        message = str(error) if isinstance(error, InputError) else _broken(path, str(error))
        return [Finding("error", "database", message)]
    size = path.stat().st_size
    intact = verdict == "ok"
    return [
        Finding("ok" if intact else "error", "database", f"{path} is intact" if intact else _broken(path, verdict)),
        Finding(
            "ok" if size < _LARGE_BYTES else "warning",
            "size",
            f"{size / 2**20:.1f} MB" + ("" if size < _LARGE_BYTES else "; delete old runs and run `mlflow gc`"),
        ),
        _schema_health(path, version),
        Finding("ok", "running", f"{running} runs have the status RUNNING"),
    ]


def _schema_health(path: Path, version: str) -> Finding:
    prepare_mlflow()
    from mlflow.store.db.utils import _get_latest_schema_revision

    expected = _get_latest_schema_revision()  # type: ignore[no-untyped-call]
    if version == expected:
        return Finding("ok", "schema", f"version {version}, as this MLflow expects")
    return Finding(
        "error",
        "schema",
        f"expected version {expected} for the installed MLflow, got {version}; make a copy of {path}, "
        f"then run `mlflow db upgrade {quote(f'{_PREFIX}{path}')}` (or install the MLflow that wrote it)",
    )


def _server_health(uri: str) -> Finding:
    from urllib.error import HTTPError
    from urllib.request import urlopen

    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https"):
        return Finding("ok", "store", f"{redact_text(uri)} is not examined; ask its own tools")
    host = parts.netloc.rpartition("@")[2]
    address = f"{parts.scheme}://{host}{parts.path.rstrip('/')}/health"
    try:
        with urlopen(address, timeout=5) as answer:
            status = answer.status
    except HTTPError as error:
        status = error.code
    except OSError as error:
        return Finding("error", "server", f"{host} does not answer ({error}); runs go on and deliver when it is back")
    if status == 200:
        return Finding("ok", "server", f"{host} answers")
    return Finding("error", "server", f"expected status 200 from {address}, got {status}; is that an MLflow server?")


def _make_database(path: Path) -> None:
    """Make an MLflow database beside its place and move it there whole: an interrupted one never counts."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    store = SqlAlchemyStore(f"{_PREFIX}{draft}", artifact_root(path.parent).as_uri())  # type: ignore[no-untyped-call]
    store.engine.dispose()
    draft.replace(path)


def _broken(path: Path, reason: str) -> str:
    return (
        f"expected an MLflow database at {path}, got: {reason}. Move the file away; the next run makes a new "
        "one, and runs whose journal is still undelivered arrive in it. To save what can be read: "
        f"`sqlite3 {quote(str(path))} .recover | sqlite3 recovered.db`"
    )
