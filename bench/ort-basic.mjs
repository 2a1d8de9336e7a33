// Writes what onnxruntime's own `basic` optimisation makes of a model: ort-basic.mjs MODEL OUT.

import ort from 'onnxruntime-node';

const [, , model, out] = process.argv;
const session = await ort.InferenceSession.create(model, {
  graphOptimizationLevel: 'basic',
  optimizedModelFilePath: out,
  logSeverityLevel: 4,
});
await session.release();
