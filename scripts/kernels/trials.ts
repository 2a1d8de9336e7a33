// All kernels that are tried, each with a tiny model.

import { HALF_TRIALS } from './half.ts';
import { PACKED_TRIALS } from './packed.ts';
import { QUANTIZED_TRIALS } from './quantized.ts';

export const TRIALS = [...QUANTIZED_TRIALS, ...PACKED_TRIALS, ...HALF_TRIALS];
