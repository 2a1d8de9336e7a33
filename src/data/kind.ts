// What a kind of data has to offer; `open.ts` lists the kinds.

import type { Dataset, InputSpec } from './dataset.ts';
import type { DataOptions } from './options.ts';

export interface DataRequest {
  readonly path: string;
  /** What a model takes; undefined: the data is looked at without one. */
  readonly inputs: readonly InputSpec[] | undefined;
  readonly options: DataOptions;
}

export interface DataKind {
  /** For the list of what can be read: `NumPy arrays by name (.npz)`. */
  readonly summary: string;
  /** By name alone, or by what a folder holds. */
  matches(path: string, isFolder: boolean): boolean;
  open(request: DataRequest): Promise<Dataset>;
}
