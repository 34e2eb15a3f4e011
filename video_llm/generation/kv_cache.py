"""The key-value cache: allocated once for all positions, filled in place, each row as far as it has come."""

from collections.abc import Sequence

import torch
from torch import Tensor


class KVCache:
    """Keys and values of every layer for R rows of up to S positions.

    keys, values: `[layers, R, G, S, D]`, G key-value heads of D channels.
    lengths:      int64 `[R]` on the device: what the kernels read. `host_lengths` are the same numbers for Python.

    Positions at and beyond a row's length hold whatever was written there last, and are never looked at.
    """

    def __init__(
        self, layers: int, rows: int, heads: int, capacity: int, width: int, *, dtype: torch.dtype, device: torch.device
    ) -> None:
        shape = (layers, rows, heads, capacity, width)
        self.keys = torch.zeros(shape, dtype=dtype, device=device)  # zeros: what is masked must still be finite
        self.values = torch.zeros(shape, dtype=dtype, device=device)
        self.lengths = torch.zeros(rows, dtype=torch.int64, device=device)
        self.host_lengths = [0] * rows

    @property
    def rows(self) -> int:
        return self.keys.shape[1]

    @property
    def capacity(self) -> int:
        """S, positions that a row can hold."""
        return self.keys.shape[3]

    def set_lengths(self, lengths: Sequence[int]) -> None:
        """How much of every row counts. Raises ValueError beyond the capacity."""
        if len(lengths) != self.rows or not all(0 <= length <= self.capacity for length in lengths):
            raise ValueError(f"{self.rows} rows of up to {self.capacity} positions cannot hold {list(lengths)}")
        self.host_lengths = list(lengths)
        self.lengths.copy_(torch.tensor(self.host_lengths))

    def set_length(self, row: int, length: int) -> None:
        """How much of one row counts. Raises ValueError beyond the capacity."""
        self.set_lengths([*self.host_lengths[:row], length, *self.host_lengths[row + 1 :]])

    def copy_of(self, row: int) -> tuple[Tensor, Tensor]:
        """Keys and values `[layers, G, L, D]` of what the row holds."""
        length = self.host_lengths[row]
        return self.keys[:, row, :, :length].clone(), self.values[:, row, :, :length].clone()

    def put(self, row: int, keys: Tensor, values: Tensor) -> None:
        """The row holds these `[layers, G, L, D]` and nothing else."""
        length = keys.shape[2]
        self.set_length(row, length)
        self.keys[:, row, :, :length] = keys
        self.values[:, row, :, :length] = values

    def reorder(self, order: Sequence[int], since: int) -> None:
        """Row r holds what row order[r] held; the rows are known to be the same before position `since`."""
        lengths = [self.host_lengths[source] for source in order]
        sources = torch.tensor(list(order), device=self.keys.device)
        for memory in (self.keys, self.values):
            for layer in memory[:, :, :, since : max(lengths)]:  # a layer at a time, which bounds what is held twice
                layer.copy_(layer[sources])
        self.set_lengths(lengths)
