import { describe, expect, it } from '@jest/globals';
import { cleanMessage } from '../../src/runtime/clean-message.ts';

// The texts are onnxruntime 1.30's own.
describe('cleanMessage', () => {
  it.each([
    [
      "Non-zero status code returned while running Add node. Name:'sum' Status Message: /onnxruntime_src/onnxruntime/core/providers/cpu/math/element_wise_ops.h:560 void onnxruntime::BroadcastIterator::Init(ptrdiff_t, ptrdiff_t) axis == 1 || axis == largest was false. Attempting to broadcast an axis by a dimension other than 1. 2 by 3\n",
      'Attempting to broadcast an axis by a dimension other than 1. 2 by 3',
      'sum',
    ],
    [
      'Load model from /tmp/m.onnx failed:This is an invalid model. In Node, ("bn", BatchNormalization, "", -1) : ("x": tensor(float),) -> ("y": tensor(float),) , Error Required attribute \'consumed_inputs\' is missing.',
      "Required attribute 'consumed_inputs' is missing",
      'bn',
    ],
    [
      "Load model from /tmp/m.onnx failed:This is an invalid model. Type Error: Type 'tensor(float)' of input parameter (a) of operator (Equal) in node (/h.0/Equal) is invalid.",
      "Type Error: Type 'tensor(float)' of input parameter (a) of operator (Equal) in node (/h.0/Equal) is invalid",
      '/h.0/Equal',
    ],
    [
      'Load model from /tmp/m.onnx failed:Fatal error: onnx.brevitas:Quant(-1) is not a registered function/op',
      'onnx.brevitas:Quant(-1) is not a registered function/op',
      undefined,
    ],
    [
      "Could not find an implementation for ConvInteger(10) node with name 'conv1'",
      "Could not find an implementation for ConvInteger(10) node with name 'conv1'",
      'conv1',
    ],
    [
      'onnxruntime::webgpu::WebGpuContext::Initialize(const onnxruntime::webgpu::WebGpuContextConfig&)::<lambda()> adapter_result.status == wgpu::RequestAdapterStatus::Success was false. Failed to get a WebGPU adapter: No supported adapters\n',
      'Failed to get a WebGPU adapter: No supported adapters',
      undefined,
    ],
    ['', '', undefined],
  ])('%s', (text, message, node) => {
    expect(cleanMessage(text)).toEqual({ message, node });
  });
});
