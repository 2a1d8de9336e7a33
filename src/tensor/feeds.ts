// Named tensors: what goes into a run and what comes out of it.

import type { Tensor } from './tensor.ts';

export type Feeds = ReadonlyMap<string, Tensor>;
