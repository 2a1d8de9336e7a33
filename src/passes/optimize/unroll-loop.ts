// A Scan, or a Loop that nothing but its count ends, is its body as often as it runs. For training, whose
// gradients flow through what a body is made of; a loop stays smaller.

import { cloneGraph, type Graph, Node, type Value } from '../../graph/index.ts';
import { contextOf, lookup } from '../../ops/index.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { moveBody } from '../inline.ts';
import { type RewriteContext, rewrite, skip } from '../pass.ts';

/** Copies of a body that are still a graph to work with. */
const MOST = 512;
/** Axes as an input of Unsqueeze. */
const OPSET = 13;

export default rewrite({
  name: 'unroll-loop',
  summary: 'Replaces a Scan or a Loop that runs a known number of times by its steps',
  onDemand: true,
  on: ['Scan', 'Loop'],
  apply(node, context) {
    const body = node.subgraph('body');
    const times = lookup(node)?.runs?.(contextOf(context.model, node), 0);
    if (!body || typeof times !== 'number' || body.sparse.size > 0) return undefined;
    if (times < 1 || times > MOST) return skip(`it runs ${times} times`);
    if (context.opset < OPSET) return skip(`it needs opset ${OPSET}, as --opset makes it`);
    unroll(node, body, times, context);
    return true;
  },
});

/** How the ports of a Scan or a Loop become those of its body. */
interface Ports {
  readonly states: readonly Value[];
  /** What the body reads in a step. */
  inputs(step: number, states: readonly Value[]): Value[];
  /** The first state among the results of the body. */
  readonly firstResult: number;
  /** How the results of all steps stand in output `index` behind the states. */
  collected(index: number): { readonly axis: number; readonly isReverse: boolean };
}

function unroll(node: Node, body: Graph, times: number, context: RewriteContext): void {
  const { graph, g } = context;
  const ports = node.op === 'Scan' ? scanPorts(node, times, context) : loopPorts(node, context);
  const count = ports.states.length;
  let { states } = ports;
  const rows: Value[][] = [];
  for (let step = 0; step < times; step++) {
    const results = once(body, ports.inputs(step, states), node, graph).slice(ports.firstResult);
    states = results.slice(0, count);
    rows.push(results.slice(count));
  }
  node.outputs.forEach((output, i) => {
    if (!output.name) return;
    const made = states[i] ?? stack(i - count);
    made.type ??= output.type;
    graph.replace(output, graph.canReplace(output, made) ? made : g.op('Identity', [made]));
  });
  graph.remove(node);

  function stack(index: number): Value {
    const { axis, isReverse } = ports.collected(index);
    const axes = g.constant('axes', Tensor.of('int64', [1], [axis]));
    const parts = rows.map((row) => g.op('Unsqueeze', [row[index], axes]));
    return g.op('Concat', isReverse ? parts.reverse() : parts, { axis });
  }
}

/** Puts a copy of the body before the node; what it results in. */
function once(body: Graph, inputs: readonly Value[], node: Node, graph: Graph): Value[] {
  const given = new Map(body.inputs.map((input, i) => [input, inputs[i] as Value]));
  const copy = cloneGraph(body, given);
  const results = [...copy.outputs];
  const holder = new Node({ op: 'Identity', inputs: [], outputs: [] });
  graph.insertBefore(node, holder);
  moveBody(copy, holder, graph);
  return results;
}

function scanPorts(node: Node, times: number, { g }: RewriteContext): Ports {
  const given = node.inputs as readonly Value[];
  const count = given.length - node.int('num_scan_inputs', 1);
  const [inputAxes, outputAxes] = ['scan_input_axes', 'scan_output_axes'].map((n) => node.ints(n));
  const isReverse = (what: string, i: number) => node.ints(`scan_${what}_directions`)?.[i] === 1;
  return {
    states: given.slice(0, count),
    firstResult: 0,
    inputs: (step, states) => [
      ...states,
      ...given.slice(count).map((value, i) => {
        const at = isReverse('input', i) ? times - 1 - step : step;
        const index = g.constant('step', Tensor.scalar('int64', at));
        return g.op('Gather', [value, index], { axis: inputAxes?.[i] ?? 0 });
      }),
    ],
    collected: (i) => ({ axis: outputAxes?.[i] ?? 0, isReverse: isReverse('output', i) }),
  };
}

function loopPorts(node: Node, { g }: RewriteContext): Ports {
  const goesOn = g.constant('goes_on', Tensor.of('bool', [], [1]));
  return {
    states: node.inputs.slice(2) as Value[],
    firstResult: 1,
    inputs: (step, states) => [g.constant('step', Tensor.scalar('int64', step)), goesOn, ...states],
    collected: () => ({ axis: 0, isReverse: false }),
  };
}
