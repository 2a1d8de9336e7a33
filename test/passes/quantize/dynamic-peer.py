"""Scales and zero points by onnxruntime's own tool: dynamic-peer.py FOLDER NAME…

Quantises FOLDER/NAME.onnx in each of SETTINGS. Prints JSON: by name and setting, for each initializer
of the quantised model that is a scale or a zero point, its type and its numbers. Prints "missing"
where the tool is not installed.
"""

import json
import logging
import sys
from pathlib import Path

try:
    import numpy as np
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic
except ImportError:
    print("missing")
    sys.exit(0)

SETTINGS = {
    "int8 per channel": (QuantType.QInt8, True),
    "int8": (QuantType.QInt8, False),
    "uint8": (QuantType.QUInt8, False),
}


def parameters(path):
    found = {}
    for tensor in onnx.load(path).graph.initializer:
        if tensor.name.endswith(("_scale", "_zero_point")):
            values = onnx.numpy_helper.to_array(tensor)
            numbers = values.astype(np.float64).ravel().tolist()
            found[tensor.name] = {"type": str(values.dtype), "values": numbers}
    return found


logging.disable(logging.WARNING)
folder = Path(sys.argv[1])
result = {}
for name in sys.argv[2:]:
    for setting, (weights, per_channel) in SETTINGS.items():
        target = folder / "quantised.onnx"
        quantize_dynamic(folder / f"{name}.onnx", target, per_channel=per_channel, weight_type=weights)
        result.setdefault(name, {})[setting] = parameters(target)
print(json.dumps(result))
