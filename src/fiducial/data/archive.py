"""Archives from elsewhere, unpacked without trusting their paths."""

from __future__ import annotations

import os
import shutil
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

from fiducial.errors import InputError


def only_folder(folder: Path) -> Path | None:
    """Return the one folder inside a folder, or None."""
    inner = [entry for entry in folder.iterdir() if entry.is_dir()]
    return inner[0] if len(inner) == 1 else None


def unpack(
    archive: Path, target: Path, inner: Callable[[Path], Path | None] = only_folder, expected: str = "one folder"
) -> None:
    """Unpack a folder of a tar archive as `target`, whole or not at all; processes that ask together wait.

    Args:
        archive: the file.
        target: the folder to be made.
        inner: finds in what was unpacked the folder that is wanted.
        expected: what that is, in words.

    Raises:
        InputError: the archive is damaged, lacks what is wanted, holds a path that leads outside, or there is no room.
    """
    from filelock import FileLock

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{target}.lock"):
            if not target.is_dir():
                _take(archive, target, inner, expected)
    except (OSError, tarfile.TarError, EOFError, zlib.error) as error:
        raise InputError(f"{archive}: cannot be unpacked into {target}: {error}") from error


def _take(archive: Path, target: Path, inner: Callable[[Path], Path | None], expected: str) -> None:
    aside = target.with_name(f"{target.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        _extract(archive, aside)
        if (found := inner(aside)) is None:
            raise InputError(f"{archive}: expected {expected}, found none")
        found.replace(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _extract(archive: Path, folder: Path) -> None:
    """Write an archive's files into a new folder; what a Mac leaves beside each file is left out.

    Written here, because the filters of `tarfile` are missing from Python before 3.11.4.

    Raises:
        tarfile.TarError: a member is a link or a device, or would lie outside the folder.
    """
    base, made = os.path.realpath(folder), set[str]()
    with tarfile.open(archive) as tar:
        for member in tar:
            target = _inside(member, base)
            place, name = (target, "") if member.isdir() else os.path.split(target)
            if place not in made:
                os.makedirs(place, exist_ok=True)
                made.add(place)
            if name and not name.startswith("._"):
                content = tar.extractfile(member)
                assert content is not None, "a file"
                with content, open(target, "wb") as file:
                    shutil.copyfileobj(content, file)


def _inside(member: tarfile.TarInfo, folder: str) -> str:
    """Return where a member lies; by its name alone, as the folder was empty and no link comes into it."""
    if not (member.isfile() or member.isdir()):
        raise tarfile.TarError(f"{member.name} is neither a file nor a folder")
    target = os.path.normpath(os.path.join(folder, member.name))
    if target != folder and not target.startswith(f"{folder}{os.sep}"):
        raise tarfile.TarError(f"{member.name} would lie outside of the archive's folder")
    return target
