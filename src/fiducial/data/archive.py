"""Archives from elsewhere, unpacked without trusting their paths."""

from __future__ import annotations

import shutil
import tarfile
import zlib
from pathlib import Path

from fiducial.errors import InputError


def unpack(archive: Path, target: Path) -> None:
    """Unpack a tar archive's one folder as `target`, whole or not at all; processes that ask together wait.

    Raises:
        InputError: the archive is damaged, holds a path that leads outside, or there is no room.
    """
    from filelock import FileLock

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{target}.lock"):
            if not target.is_dir():
                _extract(archive, target)
    except (OSError, tarfile.TarError, EOFError, zlib.error) as error:
        raise InputError(f"{archive}: cannot be unpacked into {target}: {error}") from error


def _extract(archive: Path, target: Path) -> None:
    aside = target.with_name(f"{target.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(aside, filter=_plain)
        inner = [entry for entry in aside.iterdir() if entry.is_dir()]
        if len(inner) != 1:
            raise InputError(f"{archive}: expected one folder, found {len(inner)}")
        inner[0].replace(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _plain(member: tarfile.TarInfo, target: str) -> tarfile.TarInfo | None:
    """Let through files and folders that stay within the target; what a Mac leaves beside each file is left out."""
    if not (member.isfile() or member.isdir()):
        raise tarfile.TarError(f"{member.name} is neither a file nor a folder")
    return None if Path(member.name).name.startswith("._") else tarfile.data_filter(member, target)
