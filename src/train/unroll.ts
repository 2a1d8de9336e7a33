// Recurrent operators taken apart for training: one node per gate and step, so that gradients flow
// through what is known already. What X gives is one product for all steps; each step adds H·Rᵀ
// (ONNX specification, LSTM, GRU, RNN). Shapes: X [S, N, I], states [1, N, H], D directions.

import { noGradientOfForm } from '../errors/train.ts';
import type { Model, Node, Value } from '../graph/index.ts';
import { Tensor } from '../tensor/tensor.ts';
import { Formula } from './formula.ts';

type Cell = (step: {
  readonly f: Formula;
  /** What X gives, biases in it: [1, N, gates · H]. */
  readonly x: Value;
  readonly h: Value;
  readonly c: Value;
  /** Rᵀ [H, gates · H], the biases of R [gates · H]. */
  readonly r: Value;
  readonly rb: Value | undefined;
  readonly node: Node;
}) => { h: Value; c: Value };

const GATES: Readonly<Record<string, number>> = { LSTM: 4, GRU: 3, RNN: 1 };

/** Takes apart the LSTM, GRU and RNN nodes of the main graph, in place. Types must be inferred. */
export function unrollRecurrent(model: Model): void {
  for (const node of [...model.graph.nodes]) {
    if (node.domain === '' && GATES[node.op]) unroll(model, node);
  }
}

function unroll(model: Model, node: Node): void {
  const problem = unsupported(node);
  if (problem) throw noGradientOfForm(node, problem);
  const f = new Formula(model);
  f.g.at = node;
  const [steps = 0, batch = 0] = (node.input(0)?.shape ?? []).map(Number);
  const hidden = Number(node.input(2)?.shape?.[2] ?? 0);
  const direction = node.string('direction', 'forward');
  const directions = direction === 'bidirectional' ? [false, true] : [direction === 'reverse'];
  const runs = directions.map((isReverse, d) =>
    runOver(f, node, { d, isReverse, steps, batch, hidden }),
  );
  const [y, last, cell] = node.outputs;
  const stacked = (values: readonly Value[], axis: number) =>
    values.length === 1 ? (values[0] as Value) : f.op('Concat', values, { axis });
  const give = (output: Value | undefined, make: () => Value) => {
    if (!output?.name || (output.uses.length === 0 && !model.graph.outputs.includes(output)))
      return;
    const made = make();
    made.type ??= output.type;
    model.graph.replace(output, made);
  };
  give(y, () =>
    stacked(
      runs.map(({ all }) => f.op('Unsqueeze', [all, f.ints([1])])),
      1,
    ),
  );
  give(last, () =>
    stacked(
      runs.map(({ h }) => f.op('Identity', [h])),
      0,
    ),
  );
  give(cell, () =>
    stacked(
      runs.map(({ c }) => f.op('Identity', [c])),
      0,
    ),
  );
  model.graph.remove(node);
}

function unsupported(node: Node): string | undefined {
  const given = node.strings('activations');
  const isPlain = !given || given.every((name) => PLAIN[node.op]?.includes(name));
  if (!isPlain) return `${node.op} with activations ${given?.join(', ')}`;
  if (node.attrs.has('clip')) return `${node.op} with clip`;
  if (node.int('input_forget', 0)) return 'LSTM with coupled gates';
  if (node.int('layout', 0)) return `${node.op} with the batch first`;
  if (node.input(4)) return `${node.op} with lengths of sequences`;
  if (node.op === 'LSTM' && node.input(7)) return 'LSTM with peepholes';
  const isKnown = node.input(0)?.shape?.every((dim) => typeof dim === 'number');
  return isKnown ? undefined : `${node.op} over a length that is not known`;
}

const PLAIN: Readonly<Record<string, readonly string[]>> = {
  LSTM: ['Sigmoid', 'Tanh'],
  GRU: ['Sigmoid', 'Tanh'],
  RNN: ['Tanh', 'Relu'],
};

interface Direction {
  readonly d: number;
  readonly isReverse: boolean;
  readonly steps: number;
  readonly batch: number;
  readonly hidden: number;
}

function runOver(f: Formula, node: Node, { d, isReverse, steps, batch, hidden }: Direction) {
  const pick = (value: Value) => f.op('Gather', [value, f.number(d, 'int64')], { axis: 0 });
  const turned = (value: Value) => f.op('Transpose', [pick(value)], { perm: [1, 0] });
  const size = (GATES[node.op] ?? 1) * hidden;
  const bias = node.input(3);
  const half = (at: number) => bias && f.slice(pick(bias), 0, at * size, (at + 1) * size);
  const rb = half(1);
  let x = f.op('MatMul', [node.input(0) as Value, turned(node.input(1) as Value)]);
  const wb = half(0);
  if (wb) x = f.add(x, wb);
  // Where nothing is reset, both biases can be added at once.
  const isJoined = rb !== undefined && !(node.op === 'GRU' && node.int('linear_before_reset', 0));
  if (rb && isJoined) x = f.add(x, rb);
  const inputs = f.g.ops('Split', [x], steps, { axis: 0, num_outputs: steps });
  const zeros = () =>
    f.g.constant(
      'zeros',
      Tensor.of('float32', [1, batch, hidden], new Float32Array(batch * hidden)),
    );
  const start = (value: Value | undefined) =>
    value ? f.op('Unsqueeze', [pick(value), f.ints([0])]) : zeros();
  const r = turned(node.input(2) as Value);
  let state = { h: start(node.input(5)), c: node.op === 'LSTM' ? start(node.input(6)) : zeros() };
  const all: Value[] = [];
  for (let t = 0; t < steps; t++) {
    const own = inputs[isReverse ? steps - 1 - t : t] as Value;
    const cell = CELLS[node.op] as Cell;
    state = cell({ f, x: own, ...state, r, rb: isJoined ? undefined : rb, node });
    all.push(state.h);
  }
  const ordered = isReverse ? all.reverse() : all;
  return { ...state, all: steps === 1 ? state.h : f.op('Concat', ordered, { axis: 0 }) };
}

const CELLS: Readonly<Record<string, Cell>> = {
  LSTM({ f, x, h, c, r }) {
    const gates = f.add(x, f.op('MatMul', [h, r]));
    const [i, o, forget, g] = f.g.ops('Split', [gates], 4, { axis: -1, num_outputs: 4 }) as [
      Value,
      Value,
      Value,
      Value,
    ];
    const open = (gate: Value) => f.op('Sigmoid', [gate]);
    const cell = f.add(f.mul(open(forget), c), f.mul(open(i), f.op('Tanh', [g])));
    return { h: f.mul(open(o), f.op('Tanh', [cell])), c: cell };
  },
  GRU({ f, x, h, c, r, rb, node }) {
    const third = (value: Value) =>
      f.g.ops('Split', [value], 3, { axis: -1, num_outputs: 3 }) as [Value, Value, Value];
    const [xz, xr, xh] = third(x);
    const [rz, rr, rh] = third(r);
    const [bz, br, bh] = rb ? third(rb) : [];
    const plus = (a: Value, b: Value | undefined) => (b ? f.add(a, b) : a);
    const gate = (own: Value, weight: Value, more: Value | undefined) =>
      f.op('Sigmoid', [plus(f.add(own, f.op('MatMul', [h, weight])), more)]);
    const [z, reset] = [gate(xz, rz, bz), gate(xr, rr, br)];
    const recurrent = node.int('linear_before_reset', 0)
      ? f.mul(reset, plus(f.op('MatMul', [h, rh]), bh))
      : f.op('MatMul', [f.mul(reset, h), rh]);
    const fresh = f.op('Tanh', [f.add(xh, recurrent)]);
    // (1 - z) · fresh + z · h
    return { h: f.add(fresh, f.mul(z, f.sub(h, fresh))), c };
  },
  RNN({ f, x, h, c, r, node }) {
    const activation = node.strings('activations')?.[0] ?? 'Tanh';
    return { h: f.op(activation, [f.add(x, f.op('MatMul', [h, r]))]), c };
  },
};
