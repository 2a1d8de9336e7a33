// Puts QuantizeLinear and DequantizeLinear behind the values that are rounded. All readers read what
// comes out of the pair, so that the kernel before it may hand over integers.

import { Builder, type Graph, type Model, type Value } from '../../graph/index.ts';
import { inferNode } from '../../ops/index.ts';
import type { Affine } from '../../tensor/affine.ts';
import type { DType } from '../../tensor/dtype.ts';
import { Tensor } from '../../tensor/tensor.ts';

export interface Scale extends Affine {
  /** The value that was calibrated; what is moved shares its scale. */
  readonly source: Value;
  readonly type: DType;
}

/** Initializers with scale and zero point, one pair per source. */
export class ScaleStore {
  readonly #graph: Graph;
  readonly #made = new Map<Value, readonly [Value, Value]>();

  constructor(graph: Graph) {
    this.#graph = graph;
  }

  of({ source, scale, zeroPoint, type }: Scale): readonly [Value, Value] {
    const known = this.#made.get(source);
    if (known) return known;
    const pair = [
      this.#graph.addInitializer(`${source.name}_scale`, Tensor.scalar('float32', scale)),
      this.#graph.addInitializer(`${source.name}_zero_point`, Tensor.scalar(type, zeroPoint)),
    ] as const;
    this.#made.set(source, pair);
    return pair;
  }
}

export function insertPairs(model: Model, scales: ReadonlyMap<Value, Scale>): void {
  const store = new ScaleStore(model.graph);
  for (const [value, scale] of scales) insertPair(model, value, store.of(scale));
}

function insertPair(model: Model, value: Value, parameters: readonly [Value, Value]): void {
  const { graph } = model;
  const readers = [...value.uses];
  const at = value.producer ? value.producer.place.next : [...graph.nodes][0];
  const g = new Builder(graph, at, (node) => inferNode(model, node));
  const q = g.op(
    'QuantizeLinear',
    [value, ...parameters],
    {},
    { name: nameFor(graph, value, 'q') },
  );
  const dq = g.op(
    'DequantizeLinear',
    [q, ...parameters],
    {},
    { name: nameFor(graph, value, 'dq') },
  );
  for (const { node, index } of readers) node.setInput(index, dq);
  if (value.producer && graph.outputs.includes(value)) {
    // The output keeps its name; what the kernel makes gets another one.
    const { name } = value;
    value.name = graph.fresh(`${name}_float`);
    dq.name = name;
    dq.type = value.type;
    graph.outputs = graph.outputs.map((output) => (output === value ? dq : output));
  }
}

function nameFor(graph: Graph, value: Value, ending: string): string {
  return graph.fresh(`${value.name}_${ending}`);
}
