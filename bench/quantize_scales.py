"""Scales and zero points of `minmax` beside those of onnxruntime's tool on the same data:
quantize_scales.py MODEL DATA.npz OURS.onnx. Quantises MODEL with the tool at xform's settings, then
looks for each of xform's scales (and zero points) among the tool's: equal to 1 ulp. Prints JSON.
"""

import json
import sys

import numpy as np
import onnx
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

source, data, ours = sys.argv[1:4]
theirs = ours + '.peer.onnx'


class Reader(CalibrationDataReader):
    def __init__(self):
        arrays = {k: v for k, v in np.load(data).items() if k != 'labels'}
        count = min(len(a) for a in arrays.values())
        self.rows = iter([{k: a[i : i + 1] for k, a in arrays.items()} for i in range(count)])

    def get_next(self):
        return next(self.rows, None)


quantize_static(
    source,
    theirs,
    Reader(),
    quant_format=QuantFormat.QDQ,
    per_channel=True,
    activation_type=QuantType.QUInt8,
    weight_type=QuantType.QInt8,
)


def scales(path):
    """Activations by name; weights by the name of the node that reads them."""
    graph = onnx.load(path).graph
    constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    found = {}
    for node in graph.node:
        if node.op_type == 'QuantizeLinear' and node.input[0] not in constants:
            found[node.input[0]] = (constants[node.input[1]], constants[node.input[2]])
    made = {n.output[0]: n for n in graph.node}
    for node in graph.node:
        if node.op_type not in ('Conv', 'MatMul', 'Gemm') or len(node.input) < 2:
            continue
        reads = made.get(node.input[1])
        if reads is not None and reads.op_type == 'DequantizeLinear' and reads.input[0] in constants:
            found['weight of ' + node.output[0].split('_DequantizeLinear')[0]] = (
                constants[reads.input[1]],
                constants[reads.input[2]],
            )
    return found


def ulps(a, b):
    a, b = np.asarray(a, np.float32).reshape(-1), np.asarray(b, np.float32).reshape(-1)
    if a.size != b.size:
        return float('inf')
    return float(np.max(np.abs(a.view(np.int32).astype(np.int64) - b.view(np.int32).astype(np.int64))))


def same(a, b):
    return ulps(a[0], b[0]) <= 1 and np.array_equal(a[1].reshape(-1), b[1].reshape(-1))


# The tools call the same tensor by different names: where a Relu is folded into the clipping of the
# integers before it, one names what goes in and the other what comes out. So each is looked for among
# all of the other's.
mine, peers = scales(ours), scales(theirs)
alone = [n for n, scale in mine.items() if not any(same(scale, other) for other in peers.values())]
print(json.dumps({'compared': len(mine), 'equal': len(mine) - len(alone), 'others': alone[:6]}))
