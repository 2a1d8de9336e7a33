export type { Observer } from './layer-inputs.ts';
export type { Score, SparsifyOptions } from './options.ts';
export { sparsify } from './sparsify.ts';
