"""TFLite networks that compute what is read of them, and no more."""

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
import pytest

from tvu.video_llm.lite.flatbuffer import only_outputs

schema: Any = pytest.importorskip("ai_edge_litert.schema_py_generated")  # LiteRT runs on Linux
interpreters: Any = pytest.importorskip("ai_edge_litert.interpreter")


def network(shapes: Sequence[int], sums: Sequence[tuple[int, int]], outputs: Sequence[int]) -> bytes:
    """A TFLite file: float32 tensors `[shape]` each, of which the last are the `sums` of two before; others go in."""
    model, graph, code = schema.ModelT(), schema.SubGraphT(), schema.OperatorCodeT()
    model.version, model.subgraphs, model.buffers, model.operatorCodes = 3, [graph], [schema.BufferT()], [code]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.ADD
    given = len(shapes) - len(sums)
    graph.inputs, graph.outputs, graph.tensors, graph.operators = list(range(given)), list(outputs), [], []
    for shape in shapes:
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer = [shape], schema.TensorType.FLOAT32, 0
        graph.tensors.append(tensor)
    for number, (one, other) in enumerate(sums, given):
        operator = schema.OperatorT()
        operator.inputs, operator.outputs = [one, other], [number]
        operator.builtinOptionsType, operator.builtinOptions = schema.BuiltinOptions.AddOptions, schema.AddOptionsT()
        graph.operators.append(operator)
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def run(content: bytes, *given: float) -> tuple[int, list[list[float]]]:
    """How many operations it has, and what comes out of what is put in."""
    net = interpreters.Interpreter(model_content=content)
    net.allocate_tensors()
    for asked, value in zip(net.get_input_details(), given, strict=True):
        net.set_tensor(asked["index"], np.full(asked["shape"], value, np.float32))
    net.invoke()
    graph = schema.Model.GetRootAs(content, 0).Subgraphs(0)
    return graph.OperatorsLength(), [net.get_tensor(each["index"]).tolist() for each in net.get_output_details()]


# Tensors 0 and 1 go in; 2 is twice the first, 3 adds the second, 4 and 5 double these two.
NETWORK = network(shapes=[1, 3, 1, 3, 1, 3], sums=[(0, 0), (2, 1), (2, 2), (3, 3)], outputs=[5, 4])


def test_operations_that_lead_to_no_output_that_is_read_are_gone():
    assert run(NETWORK, 1, 10) == (4, [[24, 24, 24], [4]])
    assert run(only_outputs(NETWORK, lambda shape: shape == (1,)), 1, 10) == (2, [[4]])
    assert run(only_outputs(NETWORK, lambda shape: shape == (3,)), 1, 10) == (3, [[24, 24, 24]])


def test_a_network_that_is_read_whole_stays_as_it_is():
    assert only_outputs(NETWORK, lambda shape: True) == NETWORK


@pytest.mark.parametrize("content", [b"", b"TFL3", b"\xff" * 64])
def test_what_is_no_network_is_refused(content):
    with pytest.raises(ValueError, match="no TFLite network"):
        only_outputs(content, lambda shape: True)
