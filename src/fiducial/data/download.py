"""Files from elsewhere: fetched with a pinned checksum, and verified once per state of the file."""

from __future__ import annotations

import errno
import hashlib
import http.client
import json
import os
import shutil
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO, TYPE_CHECKING

from fiducial.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK = 1 << 20
TIMEOUT = 60.0  # seconds without a byte after which a download is given up


def hashes(path: Path) -> dict[str, str]:
    """Return the MD5 and SHA-256 of a file, read once in pieces.

    Raises:
        InputError: the file cannot be read.
    """
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    try:
        with path.open("rb") as file:
            for chunk in _chunks(file):
                md5.update(chunk)
                sha256.update(chunk)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    return {"md5": md5.hexdigest(), "sha256": sha256.hexdigest()}


def known_hashes(path: Path, cache: Path | None) -> dict[str, str]:
    """Return a file's hashes, from the cache folder when the file is unchanged since they were taken.

    Unchanged means: same path, size and time of modification. The record lies in the cache folder, since
    the folder of the data may be read-only.
    """
    if cache is None:
        return hashes(path)
    path = path.resolve()
    try:
        state = path.stat()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    key = {"path": str(path), "size": state.st_size, "mtime_ns": state.st_mtime_ns}
    record = cache / "hashes" / f"{hashlib.sha256(str(path).encode()).hexdigest()[:16]}.json"
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = {}
    if {name: found.get(name) for name in key} == key:
        return {name: str(found[name]) for name in ("md5", "sha256")}
    fresh = hashes(path)
    write_atomically(record, json.dumps(key | fresh))
    return fresh


def write_atomically(path: Path, text: str) -> None:
    """Write a small file so that a reader sees all of it or none.

    Raises:
        InputError: the folder cannot be written to.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error


def verify(path: Path, md5: str, *, cache: Path | None = None) -> dict[str, str]:
    """Return a file's hashes after comparing its MD5 with the pinned one.

    Raises:
        InputError: the checksum is another.
    """
    found = known_hashes(path, cache)
    if found["md5"] != md5:
        raise InputError(
            f"{path}: wrong checksum: expected md5 {md5}, got {found['md5']}; "
            "the file is damaged or not the official one: remove it to have it downloaded again"
        )
    return found


def fetch(url: str, path: Path, *, md5: str, size: int | None = None) -> Path:
    """Download a file to `path`, unless it is there.

    Bytes go to `<path>.part`, which becomes `path` only when size and checksum are right. A part left by
    an interrupted download is continued if the server can, and begun anew if it cannot.

    Args:
        url: where the file is.
        path: where it goes.
        md5: its checksum, 32 hexadecimal digits.
        size: its size in bytes, where known.

    Raises:
        InputError: no connection, a refusal by the server, a full disk, a wrong size or checksum.
    """
    if path.exists():
        return path
    from filelock import FileLock

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):  # jobs of a sweep start together
            if not path.exists():
                _fetch(url, path, md5, size)
    except urllib.error.HTTPError as error:
        raise InputError(f"{url}: the server answered {error.code} {error.reason}; {_by_hand(url, path)}") from error
    except (OSError, http.client.HTTPException) as error:
        raise _explain(error, url, path) from error
    return path


def _fetch(url: str, path: Path, md5: str, size: int | None) -> None:
    part = path.with_name(path.name + ".part")
    _receive(url, part, size)
    found = hashes(part)["md5"]
    if found != md5:
        part.unlink()
        raise InputError(
            f"{url}: wrong checksum: expected md5 {md5}, got {found}; what came was removed, "
            "nothing was changed: try again, or fetch the official file by hand"
        )
    part.replace(path)


def _receive(url: str, part: Path, size: int | None) -> None:
    """Receive a file into `part`, going on where an earlier attempt stopped."""
    start = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not start:
            raise
        part.unlink()  # nothing is left to send: the part is whole or too long, so begin anew
        return _receive(url, part, size)
    with response:
        if response.status != 206:
            start = 0
        length = response.headers.get("Content-Length")
        total = start + int(length) if length is not None else size
        if size is not None and total is not None and total != size:
            raise InputError(f"{url}: wrong size: expected {size} bytes, the server offers {total}")
        _need(part.parent, (total or 0) - start)
        with part.open("ab" if start else "wb") as file:
            received = start + _copy(response, file, part.name.removesuffix(".part"), start, total)
    if total is not None and received != total:
        raise ConnectionError(f"the connection ended after {received} of {total} bytes")
    return None


def _need(folder: Path, size: int) -> None:
    """Raise the system's own error for a full disk before the first byte is written."""
    if shutil.disk_usage(folder).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _copy(source: IO[bytes], file: IO[bytes], name: str, start: int, total: int | None) -> int:
    """Copy bytes with a progress bar; return how many."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    copied = 0
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(name, total=total, completed=start)
        for chunk in _chunks(source):
            file.write(chunk)
            copied += len(chunk)
            progress.update(task, completed=start + copied)
    return copied


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    """Yield a file's bytes in pieces."""
    while chunk := file.read(CHUNK):
        yield chunk


def _by_hand(url: str, path: Path) -> str:
    return f"fetch {url} by hand and put it at {path}"


def _explain(error: OSError | http.client.HTTPException, url: str, path: Path) -> InputError:
    """Return the message for a download that failed."""
    code = getattr(error, "errno", None)
    if code == errno.ENOSPC:
        free = shutil.disk_usage(path.parent).free
        return InputError(f"{path}: the disk is full: {free / 1e6:.0f} MB are free in {path.parent}")
    if code in (errno.EACCES, errno.EROFS, errno.EPERM):
        return InputError(
            f"{path}: not here, and its folder cannot be written to; "
            f"choose another data folder, or {_by_hand(url, path)}"
        )
    reason = getattr(error, "reason", None) or error
    return InputError(f"{url}: no connection: {reason}; {_by_hand(url, path)}")
