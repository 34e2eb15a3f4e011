"""A TFLite network without the operations that lead to no output that anybody reads.

LiteRT computes all that a file holds. The landmark network also draws a mask of the person, 256 x 256, which takes
nearly half of its time. Positions of fields are those of TFLite's schema, which by its rules never change.
"""

import struct
from collections.abc import Callable

SUBGRAPHS = 2  # field of the model
TENSORS, OUTPUTS, OPERATORS = 0, 2, 3  # fields of a graph
SHAPE = 0  # of a tensor
READS, WRITES = 1, 2  # of an operator


def only_outputs(content: bytes, is_read: Callable[[tuple[int, ...]], bool]) -> bytes:
    """The same file with those outputs of its one graph whose shape `is_read`, and what they need.

    Raises ValueError for what is no such file.
    """
    try:
        data = _Flatbuffer(content)
        graph = data.table(data.vector(data.root, SUBGRAPHS)[0])
        tensors, operators = (data.vector(graph, field) for field in (TENSORS, OPERATORS))
        outputs = [
            t for t in data.numbers(graph, OUTPUTS) if is_read(tuple(data.numbers(data.table(tensors[t]), SHAPE)))
        ]
        needed, kept = set(outputs), []
        for place in reversed(operators):  # they stand in the order in which they run
            operator = data.table(place)
            if needed.intersection(data.numbers(operator, WRITES)):
                needed.update(data.numbers(operator, READS))
                kept.append(operator)
        data.keep_numbers(graph, OUTPUTS, outputs)
        data.keep_tables(graph, OPERATORS, kept[::-1])
    except (struct.error, IndexError) as error:
        raise ValueError(f"no TFLite network: {error}") from error
    return bytes(data.bytes)


class _Flatbuffer:
    """The bytes of a flatbuffer: tables of fields, which are numbers or say how far ahead something else lies."""

    def __init__(self, content: bytes) -> None:
        self.bytes = bytearray(content)
        self.root = self.table(0)

    def table(self, place: int) -> int:
        """Where the table lies that `place` points at."""
        return place + int(struct.unpack_from("<I", self.bytes, place)[0])

    def vector(self, table: int, field: int) -> range:
        """Where each of the 4-byte elements of a vector lies."""
        fields = table - struct.unpack_from("<i", self.bytes, table)[0]
        (size,) = struct.unpack_from("<H", self.bytes, fields)
        (offset,) = struct.unpack_from("<H", self.bytes, fields + 4 + 2 * field) if 4 + 2 * field < size else (0,)
        if offset == 0:
            return range(0)  # an empty vector may be left out
        first = self.table(table + offset) + 4
        (length,) = struct.unpack_from("<I", self.bytes, first - 4)
        return range(first, first + 4 * length, 4)

    def numbers(self, table: int, field: int) -> list[int]:
        """A vector of int32."""
        return [int(struct.unpack_from("<i", self.bytes, place)[0]) for place in self.vector(table, field)]

    def keep_numbers(self, table: int, field: int, numbers: list[int]) -> None:
        """Put fewer numbers into a vector."""
        places = self._shortened(table, field, len(numbers))
        for place, number in zip(places, numbers, strict=False):
            struct.pack_into("<i", self.bytes, place, number)

    def keep_tables(self, table: int, field: int, tables: list[int]) -> None:
        """Put fewer tables into a vector; each lies ahead of its place there, as it must."""
        places = self._shortened(table, field, len(tables))
        for place, each in zip(places, tables, strict=False):
            struct.pack_into("<I", self.bytes, place, each - place)

    def _shortened(self, table: int, field: int, length: int) -> range:
        places = self.vector(table, field)
        if places:
            struct.pack_into("<I", self.bytes, places[0] - 4, length)
        return places
