export type { Observer } from './layer-inputs.ts';
export { type Score, type SparsifyOptions, sparsify } from './sparsify.ts';
