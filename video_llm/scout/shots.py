"""Shots: where the picture changes for good, found on tiny pictures of nearly every frame.

A cut is a change between neighbouring pictures that stands out among the changes around it (the adaptive test of
PySceneDetect, whose content score this is) and that lasts: what is seen after it differs from what was seen before
it, which a flash does not bring about. A dissolve or fade has no such pair of pictures, so within the shots left by
the cuts pictures 1.5 s apart are compared as well.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tvu.temporal.types import Span
from tvu.video_llm.runtime import opencv

Thumbnails = NDArray[np.uint8]
"""uint8 `[K, h, w, 3]`, BGR."""

MIN_CHANGE = 15.0  # mean of |difference| over hue, saturation and value, each in 0..255; PySceneDetect's
MIN_RATIO = 3.0  # to the changes around it; PySceneDetect's
NEIGHBOURS = 2  # pictures on each side that count as around
MIN_SHOT_SECONDS = 0.5
SAME = (
    0.5  # a change this small is a picture shown again: 3 fps in a 15 fps file would seem to jump at every new picture
)
LASTING = 3  # pictures on each side whose medians must differ
GRADUAL_SECONDS = 1.5  # over which a dissolve or fade is complete
GRADUAL_CHANGE = 25.0  # more than of a cut: camera and subject move meanwhile
GRID_HZ = 4.0
CONTEXT_SECONDS = 20.0  # of pictures on each side of a change that are held to judge it


class ShotFinder:
    """Finds the shots of one clip from pictures that arrive in portions of any size.

    A change is judged by the pictures around it, so it is decided once `CONTEXT_SECONDS` more have been seen, and no
    more than a few times that much is held, however long the clip.
    """

    def __init__(self) -> None:
        self._pictures: list[Thumbnails] = []
        self._seconds: list[NDArray[np.float64]] = []
        self._decided = -np.inf  # seconds before which all starts are known
        self._starts: list[float] = []

    def add(self, thumbnails: Thumbnails, seconds: NDArray[np.float64]) -> None:
        """Take in pictures that follow those before: uint8 `[K, h, w, 3]` BGR, about 64 pixels wide, and float64 `[K]`.
        Within a portion they may come twice or out of order.

        Raises ValueError if the two differ in length.
        """
        if len(thumbnails) != len(seconds):
            raise ValueError(f"{len(thumbnails)} thumbnails but {len(seconds)} times")
        if len(seconds) == 0:
            return
        self._pictures.append(thumbnails)
        self._seconds.append(seconds)
        if seconds[-1] - self._seconds[0][0] > 4 * CONTEXT_SECONDS:
            self._decide(float(seconds[-1]) - CONTEXT_SECONDS)
            while len(self._seconds) > 1 and self._seconds[0][-1] < self._decided - CONTEXT_SECONDS:
                del self._pictures[0], self._seconds[0]

    def _decide(self, until: float) -> None:
        if self._seconds:
            found = _starts(np.concatenate(self._pictures), np.concatenate(self._seconds))
            self._starts += [start for start in found if self._decided <= start < until]
        self._decided = until

    def finish(self, span: Span) -> list[Span]:
        """Shots that cover `span` without gap or overlap."""
        self._decide(np.inf)
        edges = [span.start_seconds]
        for start in sorted(self._starts):
            if start - edges[-1] >= MIN_SHOT_SECONDS and span.end_seconds - start >= MIN_SHOT_SECONDS:
                edges.append(start)
        return [Span(a, b) for a, b in pairwise([*edges, span.end_seconds])]


def find_shots(thumbnails: Thumbnails, seconds: NDArray[np.float64], span: Span) -> list[Span]:
    """Shots that cover `span` without gap or overlap, from all pictures at once; see `ShotFinder`."""
    finder = ShotFinder()
    finder.add(thumbnails, seconds)
    return finder.finish(span)


def _starts(thumbnails: Thumbnails, seconds: NDArray[np.float64]) -> list[float]:
    """When new shots start, in seconds; in no order."""
    seconds, order = np.unique(seconds, return_index=True)
    pictures, seconds = _distinct(_hsv(thumbnails[order]), seconds)
    cuts = _cuts(pictures, seconds)
    starts = [float(seconds[i]) for i in cuts]
    for first, last in pairwise([0, *cuts, len(pictures)]):
        starts += _gradual(pictures[first:last], seconds[first:last])
    return starts


def _hsv(thumbnails: Thumbnails) -> Thumbnails:
    if len(thumbnails) == 0:
        return thumbnails
    cv2 = opencv()
    return np.stack([np.asarray(cv2.cvtColor(t, cv2.COLOR_BGR2HSV), np.uint8) for t in thumbnails])


def _change(a: Thumbnails, b: Thumbnails) -> NDArray[np.float64]:
    """Mean absolute difference of HSV pictures `[..., h, w, 3]`: float64 `[...]`."""
    return np.abs(a.astype(np.int16) - b).mean(axis=(-3, -2, -1))


def _distinct(pictures: Thumbnails, seconds: NDArray[np.float64]) -> tuple[Thumbnails, NDArray[np.float64]]:
    if len(pictures) < 2:
        return pictures, seconds
    is_new = np.concatenate([[True], _change(pictures[:-1], pictures[1:]) > SAME])
    return pictures[is_new], seconds[is_new]


def _cuts(pictures: Thumbnails, seconds: NDArray[np.float64]) -> list[int]:
    """Indices of the first pictures of new shots."""
    if len(pictures) < 2:
        return []
    change = np.concatenate([[0.0], _change(pictures[:-1], pictures[1:])])
    cuts: list[int] = []
    for i in np.flatnonzero(change >= MIN_CHANGE):
        around = np.concatenate([change[max(1, i - NEIGHBOURS) : i], change[i + 1 : i + 1 + NEIGHBOURS]])
        if len(around) and change[i] < MIN_RATIO * around.mean():
            continue
        before = np.median(pictures[max(0, i - LASTING) : i], axis=0)
        after = np.median(pictures[i : i + LASTING], axis=0)
        if _change(before, after) < MIN_CHANGE:
            continue
        if cuts and seconds[i] - seconds[cuts[-1]] < MIN_SHOT_SECONDS:
            if change[i] > change[cuts[-1]]:
                cuts[-1] = int(i)
            continue
        cuts.append(int(i))
    return cuts


def _gradual(pictures: Thumbnails, seconds: NDArray[np.float64]) -> list[float]:
    """Middles of dissolves and fades within one run of pictures without cuts, in seconds."""
    if len(seconds) < 2 or seconds[-1] - seconds[0] < 2 * GRADUAL_SECONDS:
        return []
    grid = np.arange(seconds[0], seconds[-1], 1 / GRID_HZ)
    shown = pictures[np.searchsorted(seconds, grid, side="right") - 1]
    lag = int(GRADUAL_SECONDS * GRID_HZ)
    change = _change(shown[:-lag], shown[lag:])  # [i] from grid[i] to grid[i + lag]
    starts: list[float] = []
    for i in range(len(change)):
        around = [change[j] for j in (i - lag, i + lag) if 0 <= j < len(change)]
        is_peak = change[i] == change[max(0, i - lag) : i + lag + 1].max()
        if is_peak and change[i] >= max(GRADUAL_CHANGE, MIN_RATIO * max(around, default=0.0)):
            starts.append(float(grid[i] + GRADUAL_SECONDS / 2))
    return starts
