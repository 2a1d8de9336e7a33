"""One quantisation by onnxruntime's own Python tools: quantize_peer.py MODE IN OUT [DATA.npz] [SAMPLES].

Prints JSON: seconds of the whole work without the start of Python, and the peak memory. Settings are
the counterparts of xform's defaults: QDQ, uint8 activations, int8 weights per channel, MinMax.
"""

import json
import resource
import sys
import time

import numpy as np
import onnx
import onnx.version_converter
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
from onnxruntime.quantization.shape_inference import quant_pre_process

mode, source, target = sys.argv[1:4]
data = sys.argv[4] if len(sys.argv) > 4 else None
samples = int(sys.argv[5]) if len(sys.argv) > 5 else 0


class Reader(CalibrationDataReader):
    def __init__(self, path, count):
        arrays = dict(np.load(path))
        arrays.pop('labels', None)
        rows = min(len(a) for a in arrays.values())
        count = min(count or rows, rows)
        self.rows = iter([{k: a[i : i + 1] for k, a in arrays.items()} for i in range(count)])

    def get_next(self):
        return next(self.rows, None)


METHODS = {
    'static': CalibrationMethod.MinMax,
    'percentile': CalibrationMethod.Percentile,
    'entropy': CalibrationMethod.Entropy,
}

started = time.time()
if mode == 'dynamic':
    quantize_dynamic(source, target, per_channel=True, weight_type=QuantType.QInt8)
elif mode in METHODS:
    prepared = target + '.prepared.onnx'
    model = onnx.load(source)
    # Per-channel scales need opset 13; the tool does not convert, and writes a model that does not load.
    if model.opset_import[0].version < 13:
        source = target + '.converted.onnx'
        onnx.save(onnx.version_converter.convert_version(model, 17), source)
    quant_pre_process(source, prepared, skip_symbolic_shape=True)
    quantize_static(
        prepared,
        target,
        Reader(data, samples),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=METHODS[mode],
    )
elif mode == 'nbits':
    quantizer = MatMulNBitsQuantizer(onnx.load(source), block_size=32, is_symmetric=True)
    quantizer.process()
    quantizer.model.save_model_to_file(target, False)
print(
    json.dumps(
        {
            'seconds': time.time() - started,
            'peak_bytes': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }
    )
)
