"""Shards: the vectors of many videos side by side in a few memory-mapped matrices, so that a query is a product each.

A matrix is int8 `[D, N]`, a column for each shot or sentence, a row for each dimension; a float32 for each column
scales it. Against float16 that is half the bytes and a fifteenth of the time to widen them, and moves a score by 0.02
standard deviations. A query of which most weights are zero reads the other rows only: of 1000 classes about 70 speak
for a question of `scout`, so 100 hours of 90,000 shots are 90 MB on the disk, and 7 MB a query. Shards never change;
small ones are merged into larger ones, as in a log-structured merge tree (O'Neil et al. 1996), so that ten thousand
videos do not become ten thousand files.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tvu.video_llm.cache import CacheConfig, FeatureCache
from tvu.video_llm.index.entries import CacheEntry, remove_entry
from tvu.video_llm.index.upkeep import SEARCH, kept_in

COLUMNS = 1 << 15  # of a shard that is large enough to stay as it is
FAN = 6  # shards of about one size that become one of the next
ROWS, BLOCK = 64, 4096  # rows and columns of a matrix that are widened to float32 at once: 1 MB


@dataclass(frozen=True)
class Columns:
    """The vectors of one video: `count` columns of a shard from `first` on."""

    item: int
    shard: str
    first: int
    count: int


@dataclass(frozen=True, eq=False)
class Shard:
    """Vectors side by side.

    matrix: int8 `[D, N]`; scales: float32 `[N]`, what a column is multiplied with. edges: float64 `[N, 2]`, the seconds
    of each column in its video.
    """

    matrix: NDArray[np.int8]
    scales: NDArray[np.float32]
    edges: NDArray[np.float64]

    def __post_init__(self) -> None:
        columns = self.matrix.shape[-1]
        if self.matrix.ndim != 2 or self.scales.shape != (columns,) or self.edges.shape != (columns, 2):
            raise ValueError(f"scales {self.scales.shape} and spans {self.edges.shape} for {self.matrix.shape}")
        if self.matrix.dtype != np.int8:
            raise ValueError(f"a matrix is int8, not {self.matrix.dtype}")

    @classmethod
    def of(cls, vectors: NDArray[np.float32], edges: NDArray[np.float64]) -> "Shard":
        """Vectors `[N, D]`, the largest number of each as 127."""
        scales = np.abs(vectors).max(axis=1, initial=1e-12) / 127
        return cls(np.rint(vectors / scales[:, None]).T.astype(np.int8), scales.astype(np.float32), edges)

    def products(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Weights `[D, Q]` of Q queries with every column: `[Q, N]`. Rows where all weights are 0 are not read.

        Raises ValueError where they are of another width.
        """
        if len(weights) != len(self.matrix):
            raise ValueError(f"{len(weights)} weights for vectors of {len(self.matrix)}")
        matrix, rows = np.asarray(self.matrix), np.flatnonzero(weights.any(axis=1))
        found = np.zeros((weights.shape[1], matrix.shape[1]), np.float32)
        wide = np.empty((ROWS, min(BLOCK, matrix.shape[1])), np.float32)
        for first in range(0, matrix.shape[1], BLOCK):
            block = matrix[:, first : first + BLOCK]
            for some in np.split(rows, range(ROWS, len(rows), ROWS)) if len(rows) else ():
                widened = wide[: len(some), : block.shape[1]]
                np.copyto(widened, block[some[0] : some[-1] + 1] if np.ptp(some) + 1 == len(some) else block[some])
                # not by BLAS, whose threads wait for each other where cores are busy: 21 ms against 150 for 60 MB
                found[:, first : first + BLOCK] += np.einsum("dq,dn->qn", weights[some], widened)
        return found * self.scales

    def vectors(self, which: NDArray[np.intp]) -> NDArray[np.float32]:
        """Some of them, `[len(which), D]`."""
        return np.asarray(self.matrix)[:, which].T * self.scales[which, None]

    def taken(self, which: NDArray[np.intp]) -> "Shard":
        """A shard of some of the columns."""
        return Shard(np.asarray(self.matrix)[:, which], np.asarray(self.scales)[which], np.asarray(self.edges)[which])


class ShardStore:
    """The shards of a feature store, under names that are never used again."""

    def __init__(self, root: Path) -> None:
        self.root = root / SEARCH
        self._cache = FeatureCache(self.root, CacheConfig(max_bytes=None))

    def load(self, name: str) -> Shard | None:
        """The shard, or None where it is gone: merged into another, or damaged."""
        entry = self._cache.load(name)
        try:
            return None if entry is None else Shard(**entry.arrays)
        except (TypeError, ValueError):  # of other arrays than ours
            self.remove(name)
            return None

    def missing(self, names: Iterable[str]) -> set[str]:
        """Those of the names under which there is no shard that can be loaded."""
        return {name for name in set(names) if self.load(name) is None}

    def add(self, parts: Sequence[Shard]) -> str:
        """Write the columns of `parts`, one after the other, as one shard; returns its name. Raises OSError."""
        name = uuid.uuid4().hex
        matrix = np.concatenate([part.matrix for part in parts], axis=1)
        scales, edges = (np.concatenate([getattr(part, name) for part in parts]) for name in ("scales", "edges"))
        self._cache.store(name, CacheEntry({"matrix": matrix, "scales": scales, "edges": edges}, {}))
        if self._cache.trouble:
            raise OSError(0, self._cache.trouble)
        return name

    def remove(self, name: str) -> None:
        """Take a shard away; who reads it goes on reading."""
        remove_entry(self._cache.folder_of(name))

    def remove_all_but(self, names: Sequence[str], older_than: float) -> int:
        """Remove the shards that nobody names any more and that were not used since `older_than`, seconds since 1970;
        returns how many."""
        named = {self._cache.folder_of(name) for name in names}
        lost = [kept for kept in kept_in(self.root) if kept.folder not in named and kept.used_seconds < older_than]
        return sum(remove_entry(kept.folder) for kept in lost)


def to_merge(sizes: Mapping[str, int]) -> list[str]:
    """Names of shards that should become one: of the smallest size of which there are `FAN`, as many as make a large
    one; empty where there is no such size.

    sizes: of every shard, the columns that are still in use.
    """
    levels: dict[int, list[str]] = {}
    for name, size in sorted(sizes.items()):
        if size < COLUMNS:
            levels.setdefault(int(np.log(size + 1) / np.log(FAN)), []).append(name)
    for _, names in sorted(levels.items()):
        if len(names) >= FAN:
            total = np.cumsum([sizes[name] for name in names])
            return names[: max(2, int(np.searchsorted(total, COLUMNS)) + 1)]
    return []
