"""What sources of image files share: reading by policy, packing, fingerprint."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fiducial.data.dicom.guard import refuse_identifiers
from fiducial.data.download import write_atomically
from fiducial.data.formats import decode
from fiducial.data.images import Intensity, check_options, read_channels, read_image
from fiducial.data.pack import key_of, packed
from fiducial.data.source import Source
from fiducial.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray


MOST_TRIED = 20  # files, to know what images are like


class FileSource(Source):
    """Cases that are one image file each, or one a channel.

    Args:
        size: extent along each spatial axis, in pixels; by default that of the first image.
        channels: 1 or 3; by default those of the first image.
        policy: what happens to images of another size: resize, fit, pad or crop.
        intensity: how values other than 8-bit become 0..1: minmax, dtype or [low, high].
        cache: folder for decoded images.
        pack: decode all images once into one array in `cache`; otherwise each is decoded in every epoch.
    """

    def __init__(
        self,
        *,
        size: Sequence[int] | None = None,
        channels: int | None = None,
        policy: str = "resize",
        intensity: Intensity = None,
        cache: str | Path | None = None,
        pack: bool = True,
    ) -> None:
        check_options(size, channels, policy, intensity)
        self._size, self._channels = size, channels
        self.policy, self.intensity = policy, intensity
        self.cache, self.pack = None if cache is None else Path(cache), pack

    @property
    @abstractmethod
    def root(self) -> Path:
        """Folder that file names are told relative to."""

    @cached_property
    @abstractmethod
    def files(self) -> list[Path]:
        """The image of each case, in the order of the cases."""

    @cached_property
    def parts(self) -> Sequence[tuple[Path | None, ...]]:
        """The files of each case: one of all channels, or one a channel with None for those that it lacks."""
        return [(file,) for file in self.files]

    def check_private(self, settings: Mapping[str, str]) -> None:
        """Refuse what DICOM files say of a person where it would be logged."""
        refuse_identifiers(self.parts, lambda: self.cases, settings)

    @cached_property
    def shape(self) -> tuple[int, tuple[int, ...]]:
        """Channels and spatial size, as given or as in the first image."""
        several = len(self.parts[0]) if len(self.parts[0]) > 1 else None
        if several is not None and self._channels not in (None, several):
            raise InputError(f"data.source.channels={self._channels}: the cases have {several} files, a channel each")
        channels = several or self._channels
        if self._size is not None and channels is not None:
            return channels, tuple(self._size)
        first = self._first_readable()
        size = tuple(self._size) if self._size is not None else tuple(first.shape[1:])
        return channels or len(first), size

    def _first_readable(self) -> NDArray[Any]:
        """Return the first image that can be read; the others have their errors where they are read."""
        for file in self.files[:MOST_TRIED]:
            with suppress(InputError):
                return decode(file)
        return decode(self.files[0])

    def read(self, index: int) -> NDArray[Any]:
        """Return the image of one case."""
        if self.packs:
            image: NDArray[Any] = self.pixels()[index]  # type: ignore[index]
            return image
        return self._decode(index)

    def pixels(self) -> NDArray[Any] | None:
        """Return all images, mapped from the cache folder."""
        return self._packed if self.packs else None

    @property
    def packs(self) -> bool:
        """Whether images are decoded once."""
        return self.pack and self.cache is not None

    @cached_property
    def _packed(self) -> NDArray[Any]:
        assert self.cache is not None
        channels, size = self.shape
        return packed(len(self.parts), self._key, self._decode, (channels, *size), self.cache)

    @cached_property
    def _key(self) -> str:
        channels, size = self.shape
        options = {"channels": channels, "size": size, "policy": self.policy, "intensity": self.intensity}
        if channels > 1 and len(self.parts[0]) == channels:
            options["parts"] = [[file is not None for file in files] for files in self.parts]
        return key_of(self.files, self.root, options)

    def _decode(self, index: int) -> NDArray[Any]:
        channels, size = self.shape
        files = self.parts[index]
        options: dict[str, Any] = {"size": size, "policy": self.policy, "intensity": self.intensity}
        try:
            if len(files) > 1:
                return read_channels(files, **options)
            assert files[0] is not None
            return read_image(files[0], channels=channels, **options)
        except InputError as error:
            raise InputError(f"case {self.cases.case[index]}: {error}") from error

    def fingerprint(self) -> Mapping[str, str]:
        """Return a hash of every file's content with its case, subject, split and label."""
        table, digest = self.cases, hashlib.sha256()
        columns = (table.case.tolist(), table.subject.tolist(), table.split.tolist(), table.label.tolist())
        hashes = iter(self._content_hashes)
        for files, *facts in zip(self.parts, *columns, strict=True):
            contents = [next(hashes) if file is not None else "" for file in files]
            digest.update("\0".join(map(str, [*facts, *contents])).encode() + b"\n")
        return {"sha256": digest.hexdigest(), "files": str(len(self.files))}

    @cached_property
    def _content_hashes(self) -> list[str]:
        """Return the SHA-256 of each file; known from the cache folder while no file has changed."""
        record = self.cache / "images" / f"{key_of(self.files, self.root, {})[:24]}.sha256" if self.cache else None
        if record is not None and record.is_file():
            return record.read_text().split()
        found = [hashlib.sha256(file.read_bytes()).hexdigest() for file in self.files]
        if record is not None:
            write_atomically(record, "\n".join(found))
        return found
