// One direction of a recurrent operator on its way back: what its gradients read, and the words they are
// written with. Rows: steps times batch, [S·N, ·]. Gates stand side by side, in the order of the operator.

import type { Value } from '../../graph/index.ts';
import { type GradientContext, UnknownShape } from '../gradient.ts';

/** Weights of one gate: [H, I], [H, H], biases [H]. */
export interface Gate {
  readonly w: Value;
  readonly r: Value;
  readonly wb: Value | undefined;
  readonly rb: Value | undefined;
}

/** One direction of a node: its weights, and the way back through its steps. */
export class Run {
  readonly c: GradientContext;
  readonly isReverse: boolean;
  readonly steps: number;
  readonly hidden: number;
  /** [S·N, I], [S·N, H]: of X, what came out, and the state that each step began with. */
  readonly x: Value;
  readonly y: Value;
  readonly before: Value;
  /** X and that state side by side. */
  readonly both: Value;
  /** [G·H, I], [G·H, H]. */
  readonly w: Value;
  readonly r: Value;
  readonly #d: number;
  readonly #directions: number;
  readonly #batch: number;

  constructor(c: GradientContext, d: number, directions: number, isReverse: boolean) {
    const [steps = 0, batch = 0, inputs = 0] = c.staticShape(c.x(0)) ?? [];
    this.c = c;
    this.#d = d;
    this.#directions = directions;
    this.isReverse = isReverse;
    this.steps = steps;
    this.#batch = batch;
    this.hidden = c.staticShape(c.x(2))?.[2] ?? 0;
    this.x = this.reshape(c.x(0), [-1, inputs]);
    this.y = this.reshape(this.#own(c.extraOutput(0, 'all_steps'), 1), [-1, this.hidden]);
    this.before = this.shifted(this.y, this.initial(5));
    this.both = this.join([this.x, this.before]);
    this.w = this.#own(c.x(1), 0);
    this.r = this.#own(c.x(2), 0);
  }

  reshape(value: Value, shape: readonly number[]): Value {
    return this.c.op('Reshape', [value, this.c.ints(shape)]);
  }

  /** `count` equal parts. */
  split(value: Value, count: number, axis = 1): Value[] {
    if (count === 1) return [value];
    const size = Number(value.shape?.[axis]) / count;
    // States of another batch than X leave it open.
    if (!Number.isInteger(size)) throw new UnknownShape(this.c.x(0));
    const sizes = this.c.ints(new Array<number>(count).fill(size));
    return this.c.ops('Split', [value, sizes], count, { axis });
  }

  /** What comes before the last H, and that. */
  lastApart(value: Value, axis = 1): [Value, Value] {
    const others = Number(value.shape?.[axis]) - this.hidden;
    const sizes = this.c.ints([others, this.hidden]);
    return this.c.ops('Split', [value, sizes], 2, { axis }) as [Value, Value];
  }

  join(values: readonly Value[], axis = 1): Value {
    return values.length === 1 ? (values[0] as Value) : this.c.op('Concat', values, { axis });
  }

  /** Weights of each gate. */
  gates(): Gate[] {
    const { c } = this;
    const count = Number(this.r.shape?.[0]) / this.hidden;
    const [w, r] = [this.split(this.w, count, 0), this.split(this.r, count, 0)];
    const biases = c.has(3) ? this.split(this.#own(c.x(3), 0), 2 * count, 0) : [];
    return w.map((one, i) => ({
      w: one,
      r: r[i] as Value,
      wb: biases[i],
      rb: biases[i + count],
    }));
  }

  /** What a gate adds up, of X and of the state or what takes its place, [S·N, H]. */
  sum({ w, r, wb, rb }: Gate, state: Value = this.before): Value {
    const both = state === this.before ? this.both : this.join([this.x, state]);
    return this.product(both, this.join([w, r]), wb && rb && this.c.add(wb, rb));
  }

  /** a bᵀ + more. */
  product(a: Value, b: Value, more?: Value): Value {
    return this.c.op('Gemm', more ? [a, b, more] : [a, b], { transB: 1 });
  }

  /** a b + more. */
  back(a: Value, b: Value, more?: Value): Value {
    return this.c.op('Gemm', more ? [a, b, more] : [a, b]);
  }

  /** aᵀ b: sums over all rows. */
  summed(a: Value, b: Value): Value {
    return this.c.op('Gemm', [a, b], { transA: 1 });
  }

  /** Of W and R, where gates get the same of both. */
  weights(toGates: Value): [Value, Value] {
    return this.lastApart(this.summed(toGates, this.both));
  }

  /** v · (1 - v), the slope of a sigmoid. */
  bend(value: Value): Value {
    return this.c.mul(value, this.fromOne(value));
  }

  fromOne(value: Value): Value {
    return this.c.sub(this.c.scalar(1, value), value);
  }

  /** 1 - v², the slope of a tanh. */
  slope(value: Value): Value {
    return this.fromOne(this.c.mul(value, value));
  }

  /** The state that each step began with, from those that each ended with. */
  shifted(rows: Value, first: Value): Value {
    if (this.steps === 1) return first;
    const [n, end] = [this.#batch, this.steps * this.#batch];
    const [from, to] = this.isReverse ? [n, end] : [0, end - n];
    const { c } = this;
    const others = c.op('Slice', [rows, c.ints([from]), c.ints([to]), c.ints([0])]);
    return this.join(this.isReverse ? [others, first] : [first, others], 0);
  }

  /** An initial state, input `index`, [N, H]. */
  initial(index: number): Value {
    const { c } = this;
    if (c.has(index)) return this.#own(c.x(index), 0);
    const shape = [this.#batch, this.hidden];
    return c.floats(shape, new Float64Array(this.#batch * this.hidden), c.x(0));
  }

  /** Numbers of steps, the last one first. */
  backwards(): number[] {
    const forwards = Array.from({ length: this.steps }, (_, t) => t);
    return this.isReverse ? forwards : forwards.reverse();
  }

  /**
   * dh through all steps: `step` takes that of the state a step ended with to that of the state it began
   * with, `more` (what Y sends back) added to it.
   */
  throughTime(step: (t: number, dh: Value, more: Value | undefined) => Value): Value {
    const { c } = this;
    const times = this.backwards();
    const dy = c.flows(0)
      ? this.split(this.reshape(this.#own(c.dy(0), 1), [-1, this.hidden]), this.steps, 0)
      : [];
    const [last, end] = [dy[times[0] ?? 0], this.final(1)];
    let dh = last && end ? c.add(last, end) : (last ?? end ?? c.zerosLike(this.initial(5)));
    times.forEach((t, i) => {
      dh = step(t, dh, dy[times[i + 1] ?? -1]);
    });
    return dh;
  }

  /** What the last state, output `index`, sends back, [N, H]. */
  final(index: number): Value | undefined {
    return this.c.flows(index) ? this.#own(this.c.dy(index), 0) : undefined;
  }

  /** The part of this direction; the axis goes. */
  #own(value: Value, axis: number): Value {
    const { c } = this;
    if (this.#directions === 1) return c.op('Squeeze', [value, c.ints([axis])]);
    return c.op('Gather', [value, c.int(this.#d)], { axis });
  }
}
