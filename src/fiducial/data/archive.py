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
        extract(archive, aside)
        inner = [entry for entry in aside.iterdir() if entry.is_dir()]
        if len(inner) != 1:
            raise InputError(f"{archive}: expected one folder, found {len(inner)}")
        inner[0].replace(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def extract(archive: Path, folder: Path) -> None:
    """Write an archive's files into a folder; what a Mac leaves beside each file is left out.

    Written here, because the filters of `tarfile` are missing from Python before 3.11.4.

    Raises:
        tarfile.TarError: a member is a link or a device, or would lie outside the folder.
    """
    with tarfile.open(archive) as tar:
        for member in tar:
            target = _inside(member, folder.resolve())
            if member.isdir():
                target.mkdir(parents=True, exist_ok=True)
            elif not target.name.startswith("._"):
                target.parent.mkdir(parents=True, exist_ok=True)
                content = tar.extractfile(member)
                assert content is not None, "a file"
                with content, target.open("wb") as file:
                    shutil.copyfileobj(content, file)


def _inside(member: tarfile.TarInfo, folder: Path) -> Path:
    if not (member.isfile() or member.isdir()):
        raise tarfile.TarError(f"{member.name} is neither a file nor a folder")
    target = (folder / member.name).resolve()
    if not target.is_relative_to(folder):
        raise tarfile.TarError(f"{member.name} would lie outside of the archive's folder")
    return target
