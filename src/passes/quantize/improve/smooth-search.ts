// How strongly to smooth: the error of quantised products for some choices of factors at once.
// X [R, K] are rows of the data, W [K, N] columns of the weights, s [A, K] the choices:
// e_a = || Q(X / s_a) Q(s_a W) - X W ||^2, Q rounding to the integers in use; run by onnxruntime.

import { Builder, Graph, Model, tensorType, type Value } from '../../../graph/index.ts';
import { affineOf, integerRange } from '../../../tensor/affine.ts';
import { Tensor } from '../../../tensor/tensor.ts';
import type { Runner } from '../../pass.ts';
import type { ChannelSample } from './channel-sample.ts';
import type { ImproveOptions } from './improvement.ts';

/** Columns of the weights that read a value, some of them, side by side. */
export interface Columns {
  /** [K, N] */
  readonly values: Float32Array;
  readonly count: number;
  /** Largest magnitude of each row of each weight, over all of its columns: [weights][K]. */
  readonly rowMax: readonly Float64Array[];
  /** Which weight each column is of. */
  readonly weightOf: Uint32Array;
}

/** Squared errors of the choices, by the squared length of X W. */
export async function smoothingErrors(
  sample: ChannelSample,
  columns: Columns,
  choices: readonly Float64Array[],
  options: ImproveOptions,
  run: Runner,
): Promise<number[]> {
  const width = sample.width;
  const [A, R, N] = [choices.length, sample.count, columns.count];
  const affines = choices.map((s) => activationAffine(sample, s, options));
  const scales = choices.flatMap((s) => [...weightScales(columns, s, options)]);
  const feeds = new Map([
    ['x', Tensor.of('float32', [1, R, width], sample.rows)],
    ['w', Tensor.of('float32', [1, width, N], columns.values)],
    [
      's',
      Tensor.of(
        'float32',
        [A, 1, width],
        choices.flatMap((s) => [...s]),
      ),
    ],
    [
      'sx',
      Tensor.of(
        'float32',
        [A, 1, 1],
        affines.map(({ scale }) => scale),
      ),
    ],
    [
      'zx',
      Tensor.of(
        'float32',
        [A, 1, 1],
        affines.map(({ zeroPoint }) => zeroPoint),
      ),
    ],
    ['sw', Tensor.of('float32', [A, 1, N], scales)],
  ]);
  const found = await run(errorModel(feeds, options), feeds);
  const [errors, length] = ['e', 'l'].map((name) => found.get(name)?.values() as Float32Array);
  return Array.from(errors ?? [], (e) => e / (length?.[0] || 1));
}

function activationAffine(sample: ChannelSample, s: Float64Array, options: ImproveOptions) {
  let [min, max] = [0, 0];
  for (let k = 0; k < s.length; k++) {
    min = Math.min(min, (sample.min[k] as number) / (s[k] as number));
    max = Math.max(max, (sample.max[k] as number) / (s[k] as number));
  }
  return affineOf({ min, max }, { type: options.activations, symmetric: isSymmetric(options) });
}

const isSymmetric = (options: ImproveOptions) => options.symmetric === true;

/** One scale per column: its own, or that of its weight. */
function weightScales(
  { values, count, rowMax, weightOf }: Columns,
  s: Float64Array,
  { perChannel }: ImproveOptions,
): Float64Array {
  const largest = new Float64Array(count);
  if (perChannel) {
    for (let i = 0; i < values.length; i++) {
      const n = i % count;
      const w = Math.abs(values[i] as number) * (s[Math.floor(i / count)] as number);
      if (w > (largest[n] as number)) largest[n] = w;
    }
  } else {
    const whole = rowMax.map((rows) =>
      rows.reduce((m, w, k) => Math.max(m, w * (s[k] as number)), 0),
    );
    for (let n = 0; n < count; n++) largest[n] = whole[weightOf[n] as number] as number;
  }
  const { max } = integerRange({ type: 'int8', symmetric: true });
  return largest.map((w) => w / max || 1);
}

function errorModel(feeds: ReadonlyMap<string, Tensor>, options: ImproveOptions): Model {
  const graph = new Graph('smoothing');
  const g = new Builder(graph);
  const port = (name: string) => g.input(name, tensorType('float32', feeds.get(name)?.shape));
  const [x, w, s, sx, zx, sw] = ['x', 'w', 's', 'sx', 'zx', 'sw'].map(port);
  const number = (value: number) => g.constant('c', Tensor.scalar('float32', value));
  const clip = (v: Value, min: number, max: number) => g.op('Clip', [v, number(min), number(max)]);
  const q = integerRange({ type: options.activations, symmetric: isSymmetric(options) });
  const codes = g.op('Add', [g.op('Round', [g.op('Div', [g.op('Div', [x, s]), sx])]), zx]);
  const rounded = g.op('Mul', [g.op('Sub', [clip(codes, q.min, q.max), zx]), sx]);
  const column = g.op('Transpose', [s], { perm: [0, 2, 1] });
  const steps = g.op('Round', [g.op('Div', [g.op('Mul', [w, column]), sw])]);
  const weights = g.op('Mul', [clip(steps, -127, 127), sw]);
  const exact = g.op('MatMul', [x, w]);
  const difference = g.op('Sub', [g.op('MatMul', [rounded, weights]), exact]);
  const sum = (v: Value, name: string) => {
    const squares = g.op('ReduceSumSquare', [v], { axes: [1, 2], keepdims: 0 });
    squares.type = tensorType('float32', [name === 'e' ? (feeds.get('s')?.shape[0] ?? 1) : 1]);
    g.output(squares, name);
  };
  sum(difference, 'e');
  sum(exact, 'l');
  return new Model(graph, new Map([['', 13]]), 8);
}
