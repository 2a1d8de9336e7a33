// Moves Transposes through operators that do not care, so that they meet and cancel: between the
// layers of a model that was converted from another layout most of them do. A move is made only
// where fewer Transposes are left.

import { attr, type Node, type Value } from '../../graph/index.ts';
import { Tensor } from '../../tensor/tensor.ts';
import {
  type Carried,
  compose,
  inverse,
  isIdentity,
  movesOnlyOnes,
  type Perm,
  permOf,
} from '../layout.ts';
import { isOutput, onlyReader, producer, removeDead } from '../match.ts';
import { type RewriteContext, rewrite } from '../pass.ts';
import { balance, prune, type Region, regionBelow, transposing, usesOutside } from '../region.ts';

export default rewrite({
  name: 'move-transpose',
  summary: 'Moves Transposes through other operators where that leaves fewer of them',
  on: 'Transpose',
  apply(node, context) {
    if (node.graph !== context.graph) return undefined;
    if (toReshape(node, context)) return true;
    const region = regionBelow(node, context.opset);
    if (!region) return undefined;
    prune(region, context.graph);
    if (balance(region, context.graph) >= 0) return undefined;
    new Move(region, context).run();
    return true;
  },
});

/** A Transpose of axes of size 1 beside a Reshape is a Reshape, which the other one swallows. */
function toReshape(node: Node, context: RewriteContext): boolean {
  const perm = permOf(node);
  const [x] = node.inputs;
  const reader = onlyReader(node.output);
  const meets = producer(x, ...RESHAPES) ?? (reader && producer(reader.output, ...RESHAPES));
  if (!perm || !x || !meets || !movesOnlyOnes(perm, x) || context.opset < 5) return false;
  const sizes = node.output.shape?.map((dim) => (typeof dim === 'number' ? dim : -1));
  if (!sizes || sizes.filter((size) => size === -1).length > 1) return false;
  const shape = context.g.constant(`${node.output.name}_shape`, Tensor.int64(sizes));
  const by = context.g.op('Reshape', [x, shape]);
  if (!context.graph.canReplace(node.output, by)) return false;
  context.graph.replace(node.output, by);
  removeDead(context.graph, [node]);
  return true;
}

const RESHAPES = ['Reshape', 'Flatten', 'Squeeze', 'Unsqueeze'];

class Move {
  readonly #region: Region;
  readonly #context: RewriteContext;
  /** Values of the region, untransposed. */
  readonly #plain = new Map<Value, Value>();

  constructor(region: Region, context: RewriteContext) {
    this.#region = region;
    this.#context = context;
  }

  run(): void {
    const { graph } = this.#context;
    const { sources, nodes, perms } = this.#region;
    for (const source of sources) this.#plain.set(source.output, source.input(0) as Value);
    const order = [...graph.nodes].filter((node) => nodes.has(node));
    for (const node of order) this.#rebuild(node);
    for (const [value, perm] of perms) this.#leave(value, perm);
    removeDead(graph, [...order, ...sources]);
  }

  #rebuild(node: Node): void {
    const { g, graph } = this.#context;
    const carried = this.#region.nodes.get(node);
    if (!carried) return;
    g.at = node;
    const inputs = node.inputs.map((value, i) => {
      const fixed = carried.constants.get(i);
      if (fixed) return graph.addInitializer(value?.name ?? `${node.output.name}_axes`, fixed);
      return value && carried.data.includes(i) ? this.#plainOf(value, node, carried) : value;
    });
    for (const [i, fixed] of carried.constants) {
      while (inputs.length < i) inputs.push(undefined);
      inputs[i] ??= graph.addInitializer(`${node.output.name}_axes`, fixed);
    }
    const attrs = Object.fromEntries([...node.attrs, ...carried.attrs]);
    const options = { name: node.name || undefined };
    const outputs = g.ops(node.op, inputs, node.outputs.length, attrs, options);
    node.outputs.forEach((old, i) => {
      const made = outputs[i] as Value;
      if (old.name) this.#plain.set(old, made);
      else made.name = '';
    });
  }

  /** The untransposed form of an input; a foreign one gets a Transpose. */
  #plainOf(value: Value, reader: Node, { data }: Carried): Value {
    const known = this.#plain.get(value);
    if (known) return known;
    const inputs = data.map((i) => reader.input(i));
    const perm = inputs.map((v) => v && this.#region.perms.get(v)).find((p) => p !== undefined);
    const { g } = this.#context;
    g.at = reader;
    const made = g.op('Transpose', [value], { perm: attr.ints(inverse(perm ?? [])) });
    this.#plain.set(value, made);
    return made;
  }

  /** Serves the readers of a value outside of the region. */
  #leave(value: Value, perm: Perm): void {
    const { g, graph } = this.#context;
    const plain = this.#plain.get(value) as Value;
    const isSource = value.producer !== undefined && this.#region.sources.has(value.producer);
    for (const { node } of [...value.uses]) {
      const next = node.graph === graph ? transposing(node) : undefined;
      if (!next) continue;
      const both = compose(perm, next);
      if (isIdentity(both) && graph.canReplace(node.output, plain)) {
        graph.replace(node.output, plain);
        removeDead(graph, [node]);
      } else {
        node.setInput(0, plain);
        node.setAttr('perm', attr.ints(both));
      }
    }
    const isRead = usesOutside(this.#region, value).length > 0 || isOutput(value);
    if (isSource || !isRead) return;
    g.at = value.producer;
    const by = isIdentity(perm) ? plain : g.op('Transpose', [plain], { perm: attr.ints(perm) });
    if (graph.canReplace(value, by)) graph.replace(value, by);
  }
}
