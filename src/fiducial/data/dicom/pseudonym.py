"""Pseudonyms that are stable under a secret key, and mean nothing without it."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from fiducial.errors import InputError

KEY_BYTES = 32
MAX_DAYS = 365


@dataclass(frozen=True)
class Pseudonyms:
    """What the secret key makes of identifiers: HMAC-SHA256, with a purpose in front so that none leads to another.

    Args:
        key: the secret, 32 bytes.
    """

    key: bytes

    def __repr__(self) -> str:
        return "Pseudonyms(key=***)"

    def _digest(self, purpose: str, value: str) -> bytes:
        return hmac.new(self.key, f"{purpose}\0{value}".encode(), hashlib.sha256).digest()

    def name(self, purpose: str, value: str) -> str:
        """Return an id such as `subject-3f0c…` (64 bits of the HMAC)."""
        return f"{purpose}-{self._digest(purpose, value).hex()[:16]}"

    def uid(self, value: str) -> str:
        """Return a new UID for an old one, under 2.25 (PS3.5 B.2: an integer of 128 bits)."""
        return f"2.25.{int.from_bytes(self._digest('uid', value)[:16], 'big')}"

    def days(self, subject: str) -> int:
        """Return by how many days a subject's dates are moved: 1 to 365, earlier or later."""
        drawn = int.from_bytes(self._digest("days", subject)[:8], "big") % (2 * MAX_DAYS)
        return drawn - MAX_DAYS if drawn < MAX_DAYS else drawn - MAX_DAYS + 1

    def shifted(self, day: str, subject: str) -> str:
        """Return a date (YYYYMMDD) moved by the subject's days, or an empty string for what is no date."""
        try:
            moved = date(int(day[:4]), int(day[4:6]), int(day[6:8])) + timedelta(self.days(subject))
        except (ValueError, OverflowError):
            return ""
        return f"{moved:%Y%m%d}"


def create_key(path: Path) -> None:
    """Write a new random key that only its owner can read; its folder is made, for the owner alone, if need be.

    Raises:
        InputError: the file exists, or cannot be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise InputError(f"{path}: there is a key already; leave out --new-key to use it") from error
    except OSError as error:
        raise InputError(f"{path}: the key cannot be written: {error.strerror}") from error
    with os.fdopen(handle, "w") as file:
        file.write(secrets.token_hex(KEY_BYTES) + "\n")


def read_key(path: Path) -> Pseudonyms:
    """Read a key file.

    Raises:
        InputError: it is missing, is readable by others, or is no key of 64 hexadecimal digits.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no key file; --new-key makes one")
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise InputError(f"{path}: the key can be read by others; take their rights away: chmod 600 {path}")
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except ValueError as error:
        raise InputError(f"{path}: expected a key of {2 * KEY_BYTES} hexadecimal digits") from error
    if len(key) < KEY_BYTES:
        raise InputError(f"{path}: expected a key of {2 * KEY_BYTES} hexadecimal digits, got {2 * len(key)}")
    return Pseudonyms(key)


def keep_apart(secret: Path, folders: Iterable[Path], what: str) -> None:
    """Refuse a secret file that lies inside one of the folders of data.

    Raises:
        InputError: it does.
    """
    place = secret.resolve()
    for folder in folders:
        if place.is_relative_to(folder.resolve()):
            raise InputError(f"{secret}: {what} must lie outside the data; it is inside {folder}")
