// What static quantisation needs of the opset: per-channel scales came with 13, float8 with 19, codes of
// 16 bits with 21, or before that as operators of com.microsoft.

import type { Model } from '../../graph/index.ts';
import { upgradeOpset } from '../upgrade/index.ts';
import type { StaticOptions } from './static.ts';

export interface Scheme extends StaticOptions {
  /** Of QuantizeLinear and DequantizeLinear. */
  readonly domain: '' | 'com.microsoft';
}

/** Lifts the model in place as far as can be; how to quantise it then, or why not. */
export function prepareOpset(model: Model, options: StaticOptions): Scheme | string {
  const isNew = is16(options.activations) || is16(options.weights) || options.weights === 'int4';
  const isWide = !options.float8 && isNew;
  const needed = options.float8 ? 19 : isWide ? 21 : 13;
  const blocked = lift(model, needed);
  if (!blocked) return { ...options, domain: '' };
  if (isWide && (model.opset >= 13 || !lift(model, 13))) {
    return { ...options, domain: 'com.microsoft' };
  }
  const reason = `opset ${needed} is needed, and the model stays at ${model.opset}: ${blocked}`;
  if (needed > 13 || model.opset < 10) return reason;
  return { ...options, perChannel: false, domain: '' };
}

function is16(type: string): boolean {
  return type.endsWith('16');
}

/** Why the model cannot be lifted; undefined where it could, or had no need. */
function lift(model: Model, needed: number): string | undefined {
  if (model.opset >= needed) return undefined;
  const lifted = upgradeOpset(model, needed);
  if (lifted.blocked) return lifted.blocked.reason;
  const { graph, functions, opsets, irVersion } = lifted.model;
  Object.assign(model, { graph, functions, opsets, irVersion });
  return undefined;
}
