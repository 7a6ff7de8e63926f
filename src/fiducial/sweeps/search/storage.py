"""The database of all trials: SQLite in the outputs folder, or a server; made without a race, no secret in its URL."""

from __future__ import annotations

import hashlib
import importlib.util
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from fiducial.errors import InputError
from fiducial.redaction import is_secret, redact_text
from fiducial.tracking.liveness import LockHeldError, locked
from fiducial.tracking.store import database, reason, store_lock

if TYPE_CHECKING:
    from optuna.storages import BaseStorage, RDBStorage

BUSY_SECONDS = 60  # that a process waits for others that write into the same SQLite file
REACHED = {
    "connect_timeout": 5,
    "tcp_user_timeout": 30_000,
}  # s until PostgreSQL is there, ms until it takes what is sent
PAUSES = (0.5, 2.0)  # seconds before the tables of a server are tried again
NOBODY = ""  # owner of a trial that its search has let go of
POSTGRES = ("postgresql://", "postgres://")


class AwayError(InputError):
    """The database does not answer."""


@contextmanager
def answering(url: str) -> Iterator[None]:
    """Say of whatever a database that is away raises that it does not answer.

    Raises:
        AwayError: it does not.
    """
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, StorageInternalError, OSError) as error:
        raise AwayError(f"search.storage={redact_text(url)} does not answer: {_said(error)}") from error


def _said(error: BaseException) -> str:
    """Return what a database, or the way to it, said; not what its asker was busy with, as `reason` would find."""
    of_library = error.__cause__ or error
    innermost = getattr(of_library, "orig", None) or of_library
    lines = str(innermost).splitlines() or [""]
    return redact_text(f"{type(innermost).__name__}: {lines[0]}"[:300])


def storage_url(given: str | None, outputs: Path) -> str:
    """Return the URL of the database; by default one SQLite file for all searches of an outputs folder.

    Raises:
        InputError: the URL has a password in it, or its driver is missing.
    """
    if given is None:
        return f"sqlite:///{outputs / 'sweeps' / 'search.db'}"
    parts = urlsplit(given)
    if parts.password or any(is_secret(key) for key, _ in parse_qsl(parts.query)):
        raise InputError(
            f"search.storage={redact_text(given)}: a URL with a password ends up in logs and shell histories. Leave it "
            "out: for PostgreSQL the environment (PGUSER, PGPASSWORD) or the file ~/.pgpass have it"
        )
    if not parts.scheme:
        raise InputError(f"search.storage: expected sqlite:///FILE or postgresql://HOST/DATABASE, got {given!r}")
    if path := database(given):
        return f"sqlite:///{path.expanduser().resolve()}"
    for prefix in POSTGRES:
        if given.startswith(prefix):
            if importlib.util.find_spec("psycopg") is None:
                raise InputError(
                    "search.storage=postgresql://… needs the package psycopg: pip install 'psycopg[binary]'"
                )
            return f"postgresql+psycopg://{given.removeprefix(prefix)}"
    return given


def open_storage(url: str, *, make: bool) -> BaseStorage:
    """Return Optuna's view of the database.

    Args:
        url: of the database.
        make: make its tables if they are missing; a run leaves that to the search.

    Raises:
        InputError: it cannot be reached, or was written by another version.
    """
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path = database(url)
    options: dict[str, Any] = {"connect_args": {"timeout": BUSY_SECONDS}} if path else _of_server(url)
    try:
        with store_lock(url):
            if path and make and not path.exists():
                draft = path.with_name(f"{path.name}.new")
                draft.unlink(missing_ok=True)  # of a process that was killed while it made it
                optuna.storages.RDBStorage(f"sqlite:///{draft}").engine.dispose()
                draft.replace(path)
            return optuna.storages.get_storage(_opened(url, options, make))
    except (SQLAlchemyError, RuntimeError, ImportError, OSError) as error:
        raise InputError(f"search.storage={redact_text(url)} cannot be used: {reason(error)}") from error


def _of_server(url: str) -> dict[str, Any]:
    """Return how a server is connected to: one that does not answer is not waited for long, unless the URL says so."""
    given = dict(parse_qsl(urlsplit(url).query))
    limits = REACHED if url.startswith("postgresql+psycopg") else {}
    return {
        "pool_pre_ping": True,
        "connect_args": {name: limit for name, limit in limits.items() if name not in given},
    }


def _opened(url: str, options: dict[str, Any], make: bool) -> RDBStorage:
    """Open the database; on a server another machine may be making the tables at this very moment."""
    from optuna.storages import RDBStorage
    from sqlalchemy.exc import IntegrityError, ProgrammingError

    for pause in PAUSES:
        try:
            return RDBStorage(url, options, skip_table_creation=not make, skip_compatibility_check=not make)
        except (IntegrityError, ProgrammingError):
            time.sleep(pause)
    return RDBStorage(url, options, skip_table_creation=not make, skip_compatibility_check=not make)


@contextmanager
def exclusive(url: str, outputs: Path) -> Iterator[None]:
    """Let one search of this machine at a time decide what comes next in a database."""
    path = outputs / "sweeps" / "search.lock"
    with store_lock(url if database(url) else f"sqlite:///{path}"):
        yield


class Owner:
    """Who has a trial in hand: a search that is alive holds a lock, which dies with its process.

    Args:
        outputs: folder in which the locks are.
    """

    def __init__(self, outputs: Path) -> None:
        self._folder = outputs / "active"
        self._lock: AbstractContextManager[int] | None = None
        place = hashlib.sha256(str(outputs.resolve()).encode()).hexdigest()[:8]
        self.name = f"{socket.gethostname()}/{place}/{secrets.token_hex(6)}"

    def hold(self) -> None:
        """Be alive from now on."""
        if self._lock is None:
            self._lock = locked(self._path(self.name))
            self._lock.__enter__()

    def release(self) -> None:
        """Be gone."""
        if self._lock is not None:
            self._lock.__exit__(None, None, None)
            self._path(self.name).unlink(missing_ok=True)
            self._lock = None

    def is_gone(self, name: str) -> bool:
        """Tell whether another owner is no longer alive; one whose lock is not in reach from here counts as alive."""
        if name in (self.name, NOBODY):
            return name == NOBODY
        path = self._path(name)
        if not path.exists():
            return name.rpartition("/")[0] == self.name.rpartition("/")[0]
        try:
            with locked(path):
                return True
        except LockHeldError:
            return False

    def forget(self, name: str) -> None:
        """Remove the lock of an owner that is gone, once nothing is in its hands any more."""
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name.rpartition('/')[2]}.search"
