// A residual sum and the normalisation of it in one node, as com.microsoft has it:
// SkipLayerNormalization(a, b) = LayerNormalization(a + b), with the sum as its fourth output. Only
// on demand: it serves GPUs, but the kernel of onnxruntime 1.30's CPU provider takes 4 to 6 times as
// long as Add and LayerNormalization (188 µs against 45 µs for 128 x 256, one thread).

import type { Node, Value } from '../../graph/index.ts';
import { sameShape } from '../../graph/index.ts';
import { fuse, isOutput, isSingleOrHalf, onlyReader, producer } from '../match.ts';
import { importDomain, rewrite, skip } from '../pass.ts';

const SKIP_FORMS = new Map([
  ['LayerNormalization', 'SkipLayerNormalization'],
  ['SimplifiedLayerNormalization', 'SkipSimplifiedLayerNormalization'],
  ['RMSNormalization', 'SkipSimplifiedLayerNormalization'],
]);

export default rewrite({
  name: 'fuse-skip-layer-norm',
  summary: 'Makes one com.microsoft.SkipLayerNormalization of Add and LayerNormalization',
  level: 'extended',
  onDemand: true,
  on: [...SKIP_FORMS.keys()],
  apply(node, context) {
    const add = producer(node.input(0), 'Add');
    const sum = add?.output;
    const scale = node.input(1);
    const op = SKIP_FORMS.get(node.op);
    if (!add || !sum || !scale || !op || add.graph !== node.graph) return undefined;
    const [a, b] = add.inputs;
    if (!a || !b || !isSingleOrHalf(a)) return undefined;
    const isRead = onlyReader(sum) !== node;
    const reason = refusal(node, a, b, sum) ?? (isRead ? conflict(sum, node) : undefined);
    if (reason) return skip(reason);
    const { g, graph, model } = context;
    importDomain(model, graph, 'com.microsoft', 1);
    const bias = op === 'SkipLayerNormalization' ? node.input(2) : undefined;
    const inputs = bias ? [a, b, scale, bias] : [a, b, scale];
    const attrs = { epsilon: node.attrs.get('epsilon') };
    const options = { domain: 'com.microsoft', name: node.name || undefined };
    const [by, ...others] = g.ops(op, inputs, isRead ? 4 : 1, attrs, options);
    if (!by) return false;
    for (const unused of others.slice(0, 2)) unused.name = '';
    const total = others[2];
    if (total) graph.replace(sum, total);
    return fuse(context, [node, add], node.output, by);
  },
});

function refusal(node: Node, a: Value, b: Value, sum: Value): string | undefined {
  const shape = sum.shape;
  if (!shape || !a.shape || !b.shape) return 'its shapes are not known';
  if (shape.length < 2 || shape.length > 3) {
    return `it works on ${shape.length} dimensions, not 2 or 3`;
  }
  const axis = node.int('axis', -1);
  if (axis !== -1 && axis !== shape.length - 1) return 'it normalises more than the last axis';
  if (node.input(1)?.shape?.length !== 1) return 'its scale is not a vector';
  if (node.outputs.length > 1) return 'its statistics are read';
  const isSame = sameShape(a.shape, shape) && sameShape(b.shape, shape);
  return isSame ? undefined : 'the two sides of the sum differ in shape';
}

/** What keeps the sum from coming out of the normalisation. */
function conflict(sum: Value, node: Node): string | undefined {
  if (isOutput(sum)) return 'the sum is a graph output';
  return readAfter(sum, node) ? undefined : 'the sum is read before it';
}

/** Whether everything else that reads the sum stands after the node in its graph. */
function readAfter(sum: Value, node: Node): boolean {
  const others = new Set(sum.uses.map((use) => use.node).filter((reader) => reader !== node));
  for (let at = node.place.next; at; at = at.place.next) {
    others.delete(at);
  }
  return others.size === 0;
}
