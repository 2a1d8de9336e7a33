// Logits at some positions only. What a head does with one position does not depend on the others, so
// the positions are picked before it: of a large vocabulary the products over the rest are never made.

import type { Node, Value } from '../graph/index.ts';
import { isElementwise } from '../ops/index.ts';
import type { Formula } from './formula.ts';

/** Along the last axis, if `axis` says so. */
const NORMS = new Set(['LayerNormalization', 'SimplifiedLayerNormalization']);

/** Rows of a value [N, S, D] as [K, D]; `rows` [K] are their numbers in [N · S, D]. */
export function atRows(f: Formula, value: Value, rows: Value): Value {
  const [n = 1, s = 1] = sizes(value);
  return new Picker(f, rows, n * s).pick(value);
}

class Picker {
  readonly #f: Formula;
  readonly #rows: Value;
  /** Rows that there are. */
  readonly #count: number;
  readonly #picked = new Map<Value, Value>();

  constructor(f: Formula, rows: Value, count: number) {
    this.#f = f;
    this.#rows = rows;
    this.#count = count;
  }

  pick(value: Value): Value {
    const known = this.#picked.get(value);
    if (known) return known;
    const found = this.#through(value) ?? this.#gathered(value);
    this.#picked.set(value, found);
    return found;
  }

  /** From picked rows of what the node reads; undefined where it looks at other rows as well. */
  #through(value: Value): Value | undefined {
    const node = value.producer;
    if (!node || node.outputs[0] !== value || !this.#hasRows(value)) return undefined;
    const { op, inputs } = node;
    const first = inputs[0] as Value;
    if (op === 'Reshape') {
      const isForm = this.#hasRows(first) && sizes(first).at(-1) === sizes(value).at(-1);
      return isForm ? this.pick(first) : undefined;
    }
    if (op === 'MatMul' || (op === 'Gemm' && !node.int('transA', 0))) {
      const [, matrix, added] = inputs;
      const isSame = matrix?.shape?.length === 2 && (!added || isFlat(added));
      return this.#hasRows(first) && isSame
        ? this.#again(node, [this.pick(first), ...inputs.slice(1)])
        : undefined;
    }
    const axis = node.int('axis', -1);
    const isNorm = NORMS.has(op) && (axis === -1 || axis === sizes(value).length - 1);
    const isRead = (input: Value | undefined) => !input || isFlat(input) || this.#hasRows(input);
    if (!(isElementwise(node) || isNorm) || !inputs.every(isRead)) return undefined;
    const picked = inputs.map((input) => (input && !isFlat(input) ? this.pick(input) : input));
    return this.#again(node, picked, isNorm ? { axis: -1 } : {});
  }

  #again(node: Node, inputs: readonly (Value | undefined)[], attrs = {}): Value {
    const all = { ...Object.fromEntries(node.attrs), ...attrs };
    return this.#f.g.op(node.op, inputs, all, { domain: node.domain });
  }

  #gathered(value: Value): Value {
    const width = sizes(value).at(-1) ?? 1;
    const flat = this.#f.reshape(value, [this.#count, width]);
    return this.#f.op('Gather', [flat, this.#rows], { axis: 0 });
  }

  /** [N, S, D] or [N · S, D]. */
  #hasRows(value: Value): boolean {
    const rows = sizes(value).slice(0, -1);
    return rows.length > 0 && rows.reduce((a, b) => a * b, 1) === this.#count;
  }
}

const sizes = (value: Value) => (value.shape ?? []).map(Number);

/** The same for all rows: a number, or one for each place of the last axis. */
function isFlat({ shape }: Value): boolean {
  return shape !== undefined && (shape.length < 2 || (shape.length === 2 && shape[0] === 1));
}
