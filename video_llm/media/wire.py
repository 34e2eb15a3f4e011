"""What a reader process and its parent say to each other: JSON headers and raw arrays with their lengths in front.

Nothing is pickled, so a decoder that a hostile file has taken over can send wrong pixels but cannot run code in the
parent.
"""

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LENGTHS = struct.Struct("<IQ")  # bytes of the header, bytes of the arrays
_MAX_HEADER = 1 << 24
_MAX_PAYLOAD = 1 << 32


@dataclass(frozen=True)
class Message:
    """One message: `kind` says what it is, `fields` are JSON values, `arrays` numpy arrays by name."""

    kind: str
    fields: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)


def _bytes_of(array: NDArray[Any]) -> memoryview:
    """The memory of a contiguous array."""
    return memoryview(array.reshape(-1).view(np.uint8).data)


def write_message(message: Message, write: Callable[[bytes | memoryview], object]) -> None:
    """Send `message` through `write`, which must take all the bytes it is given."""
    arrays = {name: np.ascontiguousarray(array) for name, array in message.arrays.items()}
    layout = [[name, array.dtype.str, list(array.shape)] for name, array in arrays.items()]
    header = json.dumps({"kind": message.kind, "fields": message.fields, "arrays": layout}).encode()
    write(_LENGTHS.pack(len(header), sum(array.nbytes for array in arrays.values())) + header)
    for array in arrays.values():
        if array.nbytes:
            write(_bytes_of(array))


def read_message(read_into: Callable[[memoryview], None]) -> Message:
    """Receive one message; `read_into` fills the whole buffer or raises EOFError.

    Raises ValueError for bytes that no honest writer sends.
    """
    lengths = bytearray(_LENGTHS.size)
    read_into(memoryview(lengths))
    header_bytes, payload_bytes = _LENGTHS.unpack(lengths)
    if header_bytes > _MAX_HEADER or payload_bytes > _MAX_PAYLOAD:
        raise ValueError(f"a message of {header_bytes} + {payload_bytes} bytes")
    header = bytearray(header_bytes)
    read_into(memoryview(header))
    parsed = json.loads(header)
    arrays: dict[str, NDArray[Any]] = {}
    for name, dtype, shape in parsed["arrays"]:
        if np.dtype(dtype).hasobject:
            raise ValueError(f"an array of {dtype}")
        payload_bytes -= int(np.prod(shape, dtype=object)) * np.dtype(dtype).itemsize
        if payload_bytes < 0:
            raise ValueError("arrays longer than the message that brings them")
        array: NDArray[Any] = np.empty(shape, dtype)
        if array.nbytes:
            read_into(_bytes_of(array))
        arrays[name] = array
    return Message(parsed["kind"], parsed["fields"], arrays)
