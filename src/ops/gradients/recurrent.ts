// Gradients of recurrent operators through time (ONNX specification, LSTM, GRU, RNN). Every Y is an h,
// so that gates, and how they answer to dh, are calculated for all steps at once. From step to step goes
// only what has to: dh and, in an LSTM, the cell. Gradients of weights are one product over all steps.
// Rows: steps times batch, [S·N, ·]. Gates stand side by side, in the order of the operator.

import type { Value } from '../../graph/index.ts';
import { type GradientContext, gradients } from '../gradient.ts';
import { type Gate, Run } from './through-time.ts';

type C = GradientContext;

/** What comes back through one direction. */
interface Sent {
  /** To what gates add up of X, [S·N, G·H], and of h. */
  readonly toInput: Value;
  readonly toRecurrent: Value;
  /** Of W and R. */
  weights(): [Value, Value];
  /** Of the initial states, [N, H]. */
  readonly h: Value;
  readonly c?: Value | undefined;
}

type Cell = (run: Run) => Sent;

const GATES = { LSTM: 4, GRU: 3, RNN: 1 } as const;
const ACTIVATIONS = { LSTM: ['Sigmoid', 'Tanh'], GRU: ['Sigmoid', 'Tanh'], RNN: ['Tanh', 'Relu'] };

type Op = keyof typeof GATES;

const CELLS: Readonly<Record<Op, Cell>> = { LSTM: lstm, GRU: gru, RNN: rnn };

/** c' = f c + i g, h = o tanh c'. */
function lstm(run: Run): Sent {
  const { c, r, steps } = run;
  const gates = run.gates().map((gate) => run.sum(gate)) as [Value, Value, Value, Value];
  const [i, o, f] = gates.slice(0, 3).map((gate) => c.op('Sigmoid', [gate])) as typeof gates;
  const g = c.op('Tanh', [gates[3]]);
  const forget = run.split(f, steps, 0);
  const added = run.split(c.mul(i, g), steps, 0);
  const cells: Value[] = [];
  let cell = run.initial(6);
  for (const t of run.backwards().reverse()) {
    cell = c.add(c.mul(forget[t] as Value, cell), added[t] as Value);
    cells[t] = cell;
  }
  const all = run.join(cells, 0);
  const bent = c.op('Tanh', [all]);
  // What gates get, in their order, is dc, dh, dc, dc times these.
  const slopes = run.join([
    c.mul(g, run.bend(i)),
    c.mul(bent, run.bend(o)),
    c.mul(run.shifted(all, run.initial(6)), run.bend(f)),
    c.mul(i, run.slope(g)),
  ]);
  const perStep = run.split(slopes, steps, 0);
  const toCell = run.split(c.mul(o, run.slope(bent)), steps, 0);
  const sent: Value[] = [];
  let dc = run.final(2);
  const h = run.throughTime((t, dh, more) => {
    const own = c.mul(dh, toCell[t] as Value);
    const whole = dc ? c.add(own, dc) : own;
    sent[t] = c.mul(run.join([whole, dh, whole, whole]), perStep[t] as Value);
    dc = c.mul(whole, forget[t] as Value);
    return run.back(sent[t], r, more);
  });
  const toGates = run.join(sent, 0);
  return { toInput: toGates, toRecurrent: toGates, weights: () => run.weights(toGates), h, c: dc };
}

/** h' = (1 - z) g + z h; the reset gate comes before or after the product with R. */
function gru(run: Run): Sent {
  const isAfter = run.c.node.int('linear_before_reset', 0) === 1;
  return isAfter ? gruResetAfter(run) : gruResetBefore(run);
}

/** Slopes of h' by what z and g are made from. */
function gruSlopes(run: Run, z: Value, g: Value): { z: Value; g: Value } {
  const { c } = run;
  return {
    z: c.mul(c.sub(run.before, g), run.bend(z)),
    g: c.mul(run.fromOne(z), run.slope(g)),
  };
}

/** g = tanh(W x + r (R h + b)). */
function gruResetAfter(run: Run): Sent {
  const { c, steps } = run;
  const [update, reset, fresh] = run.gates() as [Gate, Gate, Gate];
  const [z, r] = [update, reset].map((gate) => c.op('Sigmoid', [run.sum(gate)])) as [Value, Value];
  const kept = run.product(run.before, fresh.r, fresh.rb);
  const g = c.op('Tanh', [c.add(run.product(run.x, fresh.w, fresh.wb), c.mul(r, kept))]);
  const by = gruSlopes(run, z, g);
  const byReset = c.mul(c.mul(by.g, kept), run.bend(r));
  const perStep = run.split(run.join([by.z, byReset, c.mul(by.g, r)]), steps, 0);
  const keep = run.split(z, steps, 0);
  const [sent, states]: [Value[], Value[]] = [[], []];
  const h = run.throughTime((t, dh, more) => {
    const straight = c.mul(dh, keep[t] as Value);
    states[t] = dh;
    sent[t] = c.mul(run.join([dh, dh, dh]), perStep[t] as Value);
    return run.back(sent[t], run.r, more ? c.add(straight, more) : straight);
  });
  const toRecurrent = run.join(sent, 0);
  const [shared] = run.lastApart(toRecurrent);
  const toInput = run.join([shared, c.mul(run.join(states, 0), by.g)]);
  const weights = (): [Value, Value] => [
    run.summed(toInput, run.x),
    run.summed(toRecurrent, run.before),
  ];
  return { toInput, toRecurrent, weights, h };
}

/** g = tanh(W x + R (r h) + b). */
function gruResetBefore(run: Run): Sent {
  const { c, steps, before } = run;
  const [update, reset, fresh] = run.gates() as [Gate, Gate, Gate];
  const [z, r] = [update, reset].map((gate) => c.op('Sigmoid', [run.sum(gate)])) as [Value, Value];
  const left = c.mul(r, before);
  const g = c.op('Tanh', [run.sum(fresh, left)]);
  const by = gruSlopes(run, z, g);
  const [toZ, toG, toReset, keep, resets] = [
    ...[by.z, by.g, c.mul(before, run.bend(r))],
    ...[z, r],
  ].map((value) => run.split(value, steps, 0)) as [Value[], Value[], Value[], Value[], Value[]];
  const [ofGates] = run.lastApart(run.r, 0);
  const [sent, sentFresh]: [Value[], Value[]] = [[], []];
  const h = run.throughTime((t, dh, more) => {
    const own = c.mul(dh, toG[t] as Value);
    const ofLeft = run.back(own, fresh.r);
    const straight = [c.mul(dh, keep[t] as Value), c.mul(ofLeft, resets[t] as Value)];
    sentFresh[t] = own;
    sent[t] = run.join([c.mul(dh, toZ[t] as Value), c.mul(ofLeft, toReset[t] as Value)]);
    return run.back(sent[t], ofGates, c.op('Sum', more ? [...straight, more] : straight));
  });
  const [toGates, toFresh] = [run.join(sent, 0), run.join(sentFresh, 0)];
  const all = run.join([toGates, toFresh]);
  const weights = (): [Value, Value] => [
    run.summed(all, run.x),
    run.join([run.summed(toGates, before), run.summed(toFresh, left)], 0),
  ];
  return { toInput: all, toRecurrent: all, weights, h };
}

/** h' = tanh(W x + R h + b), or relu. */
function rnn(run: Run): Sent {
  const { c, y, steps } = run;
  const isRelu = c.node.strings('activations')?.[0] === 'Relu';
  const slopes = isRelu ? c.mask(c.op('Greater', [y, c.scalar(0, y)]), y) : run.slope(y);
  const perStep = run.split(slopes, steps, 0);
  const sent: Value[] = [];
  const h = run.throughTime((t, dh, more) => {
    sent[t] = c.mul(dh, perStep[t] as Value);
    return run.back(sent[t], run.r, more);
  });
  const all = run.join(sent, 0);
  return { toInput: all, toRecurrent: all, weights: () => run.weights(all), h };
}

function recurrent(op: Op) {
  return (c: C): (Value | undefined)[] => {
    const problem = unsupported(c, op);
    if (problem) return c.unsupported(problem);
    const direction = c.node.string('direction', 'forward');
    const reversed = direction === 'bidirectional' ? [false, true] : [direction === 'reverse'];
    const runs = reversed.map((is, d) => new Run(c, d, reversed.length, is));
    const sent = runs.map((run) => CELLS[op](run));
    /** A gradient of each direction, [D, …]. */
    const stacked = (index: number, make: (sent: Sent, d: number) => Value | undefined) =>
      c.when(index, () => {
        const parts = sent.map((one, d) => make(one, d) as Value);
        const single = parts.map((part) => c.op('Unsqueeze', [part, c.ints([0])]));
        return single.length === 1 ? (single[0] as Value) : c.op('Concat', single, { axis: 0 });
      });
    const weights = c.wants(1) || c.wants(2) ? sent.map((one) => one.weights()) : [];
    const rows = (value: Value) => c.reduceSum(value, [0], false);
    return [
      c.when(0, () => {
        const parts = runs.map((run, d) => run.back((sent[d] as Sent).toInput, run.w));
        const sum = parts.length === 1 ? (parts[0] as Value) : c.op('Sum', parts);
        return c.reshapeLike(sum, c.x(0));
      }),
      stacked(1, (_, d) => weights[d]?.[0]),
      stacked(2, (_, d) => weights[d]?.[1]),
      stacked(3, ({ toInput, toRecurrent }) => {
        const own = rows(toInput);
        const other = toInput === toRecurrent ? own : rows(toRecurrent);
        return c.op('Concat', [own, other], { axis: 0 });
      }),
      undefined,
      stacked(5, ({ h }) => h),
      stacked(6, ({ c: cell }) => cell),
    ];
  };
}

function unsupported(c: C, op: Op): string | undefined {
  const given = c.node.strings('activations');
  const isPlain = !given || given.every((name) => ACTIVATIONS[op].includes(name));
  if (!isPlain) return `${op} with activations ${given?.join(', ')}`;
  if (c.node.attrs.has('clip')) return `${op} with clip`;
  if (c.node.int('input_forget', 0)) return 'LSTM with coupled gates';
  if (c.node.int('layout', 0)) return `${op} with the batch first`;
  if (c.has(4)) return `${op} with lengths of sequences`;
  if (op === 'LSTM' && c.has(7)) return 'LSTM with peepholes';
  return c.staticShape(c.x(0)) ? undefined : `${op} over a length that is not known`;
}

gradients({ LSTM: recurrent('LSTM'), GRU: recurrent('GRU'), RNN: recurrent('RNN') });
