"""The contract of sources whose cases have boxes."""

from __future__ import annotations

from abc import abstractmethod

from fiducial.data.boxes import Boxes, Frame
from fiducial.data.source import Source

BOXES = "boxes"  # the target of a source that is learned for its boxes


class BoxedSource(Source):
    """Cases of images with any number of boxes each, none too.

    With the target "boxes" `Cases.label` is 0 throughout; with "binary" it tells whether a case has a box, and a
    network learns from that alone, the boxes being there to see what it looked at.
    """

    @abstractmethod
    def truth(self, index: int) -> Boxes:
        """Return the boxes of a case, in pixels of its file.

        Raises:
            InputError: a box cannot be; case and line are named.
        """

    @abstractmethod
    def frame(self, index: int) -> Frame:
        """Return where the pixels of a case's file lie in the image that `read` gives."""

    @abstractmethod
    def size_of(self, index: int) -> tuple[int, ...]:
        """Return the extent of a case's file along each axis, in array order."""

    def seen(self, index: int) -> Boxes:
        """Return the boxes of a case in the image that `read` gives."""
        truth = self.truth(index)
        return Boxes(self.frame(index).seen(truth.corners), truth.label)
