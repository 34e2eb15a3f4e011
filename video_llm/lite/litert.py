"""Networks of LiteRT (TensorFlow Lite), one picture at a time."""

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvu.video_llm.errors import BackendError
from tvu.video_llm.lite.flatbuffer import only_outputs

Floats = NDArray[np.floating[Any]]


class Network:
    """A network of one picture, with those of its outputs alone that are no maps and whose last axis is of a size that
    is wanted. Raises BackendError if LiteRT is missing or cannot load it."""

    def __init__(self, path: Path, num_threads: int | None, wanted: tuple[int, ...]) -> None:
        threads = num_threads or min(4, os.cpu_count() or 1)
        try:
            runtime = importlib.import_module("ai_edge_litert.interpreter")
            content = only_outputs(path.read_bytes(), lambda shape: len(shape) < 4 and shape[-1] in wanted)
            with _nobody_reads_stderr():
                network = runtime.Interpreter(model_content=content, num_threads=threads)
                network.allocate_tensors()
        except (ImportError, OSError, ValueError, RuntimeError) as error:
            hint = "LiteRT (ai-edge-litert) runs on Linux; without it people are seen as pictures only"
            raise BackendError(f"cannot run {path.name}: {error}", hint=hint) from error
        self._network: Any = network

    def __call__(self, picture: Floats) -> list[Floats]:
        """float32 `[H, W, 3]` to its outputs in their order, without the axis of the batch."""
        network = self._network
        network.set_tensor(network.get_input_details()[0]["index"], picture[None])
        network.invoke()
        return [np.array(network.get_tensor(each["index"])[0], np.float32) for each in network.get_output_details()]


@contextmanager
def _nobody_reads_stderr() -> Iterator[None]:
    """LiteRT tells of its own good health on stderr, which is ours, and has no switch for that."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
