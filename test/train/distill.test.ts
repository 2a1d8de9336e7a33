// What a student is told, number by number: the loss of each step against one that is calculated here,
// and courses of its terms that a stopped run goes on with.

import { describe, expect, it } from '@jest/globals';
import { inferTypes } from '../../src/ops/index.ts';
import { loadModel } from '../../src/runtime/runner.ts';
import type { Feeds } from '../../src/tensor/feeds.ts';
import { Random } from '../../src/tensor/random.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { type Distillation, distilled, softFor } from '../../src/train/distill.ts';
import { graft, TEACHER } from '../../src/train/graft.ts';
import { STEPS as COUNT } from '../../src/train/loop.ts';
import { OBJECTIVES } from '../../src/train/objectives/index.ts';
import { OBJECTIVE_DEFAULTS, type Objective } from '../../src/train/objectives/objective.ts';
import { OPTIMIZER_DEFAULTS, OPTIMIZERS, type Optimizer } from '../../src/train/optimizers.ts';
import { parametersOf } from '../../src/train/parameters.ts';
import { RATE } from '../../src/train/plan.ts';
import type { Course } from '../../src/train/schedule.ts';
import { buildTraining } from '../../src/train/step.ts';
import { initialState, type Progress, train } from '../../src/train/trainer.ts';
import { parseModel } from '../helpers/parse.ts';

const TEXT = `
g (float[4, 3] x, float[4, 5] said) => (float[4, 5] y)
<float[3, 5] w = random>
{ y = MatMul(x, w) }`;
const STEPS = 9;

const still = (value: number): Course => ({ from: value, to: value, shape: 'linear' });
const normal = (count: number, seed: number) => {
  const random = new Random(seed, 'data');
  return Float32Array.from({ length: count }, () => random.normal());
};
const X = normal(12, 1);
const SAID = normal(20, 2);
const LABELS = [0, 4, 2, 2];

function graphOf(terms: Partial<Distillation>, text = TEXT) {
  const model = parseModel(text);
  model.opsets.set('', 21);
  inferTypes(model);
  const said = model.graph.inputs.at(-1);
  if (!said) throw new Error('no input');
  const optimizer = OPTIMIZERS['adam'] as Optimizer;
  return buildTraining({
    model,
    parameters: parametersOf(model).trained,
    buffers: [],
    objective: distilled({
      hard: OBJECTIVES.classify,
      teachers: [{ outputs: [said], weight: 1 }],
      alpha: still(0.7),
      temperature: still(2),
      soft: 'kl',
      features: [],
      featureLoss: 'mse',
      featureWeight: still(1),
      ...terms,
    }),
    settings: OBJECTIVE_DEFAULTS,
    optimizer,
    optimizerSettings: { ...OPTIMIZER_DEFAULTS, ...optimizer.defaults },
    decay: () => 0,
  });
}

/** Trains on the same batch; the loss of every step, and the last state. */
async function trained(
  {
    labels: told = LABELS,
    text,
    ...terms
  }: Partial<Distillation> & { labels?: readonly number[]; text?: string },
  rate: number,
  stopAfter = STEPS,
) {
  const graph = graphOf(terms, text);
  const session = await loadModel(graph.model);
  const losses: number[] = [];
  const stack = (count: number, values: ArrayLike<number>, shape: number[]) =>
    Tensor.of(
      'float32',
      [count, ...shape],
      Float32Array.from(
        { length: count * values.length },
        (_, i) => values[i % values.length] ?? 0,
      ),
    );
  let done = 0;
  const context = {
    run: (feeds: Feeds) => session.run(feeds),
    async feed(_: number, count: number) {
      const labels = Array.from({ length: count }, () => told).flat();
      return new Map([
        ['x', stack(count, X, [4, 3])],
        ['said', stack(count, SAID, [4, 5])],
        ['target/labels', Tensor.int64(labels).reshape([count, 4])],
      ]);
    },
    report({ step, means }: Progress) {
      done = step;
      losses.push(means.get('loss') ?? Number.NaN);
    },
  };
  // Evaluations every step make every chunk one step.
  const plan = {
    graph,
    steps: STEPS,
    stepsPerEpoch: STEPS,
    accumulate: 1,
    rate: () => rate,
    evaluateEvery: 1,
    checkpointEvery: 1,
  };
  try {
    const first = await train(
      plan,
      { ...context, isStopped: () => done >= stopAfter },
      initialState(graph),
    );
    const rest = await train(plan, context, first.state, first.position);
    return { losses, rest };
  } finally {
    await session.dispose();
  }
}

function softmaxLogs(row: readonly number[]): number[] {
  const most = Math.max(...row);
  const sum = row.reduce((total, value) => total + Math.exp(value - most), 0);
  return row.map((value) => value - most - Math.log(sum));
}

/** α · T² · KL + (1 - α) · cross-entropy of the first samples, in double precision. */
function expectedLoss(alpha: number, t: number, labelled = 4): number {
  const weights = parseModel(TEXT);
  const [w] = [...weights.graph.initializers].map(({ data }) => data?.numbers() ?? []);
  let loss = 0;
  for (let n = 0; n < 4; n++) {
    const at = (i: number) =>
      [0, 1, 2].reduce((sum, k) => sum + (X[n * 3 + k] ?? 0) * (w?.[k * 5 + i] ?? 0), 0);
    const student = [0, 1, 2, 3, 4].map(at);
    const teacher = [...SAID.slice(n * 5, n * 5 + 5)];
    const [s, q] = [student, teacher].map((row) => softmaxLogs(row.map((value) => value / t)));
    const divergence = (q ?? []).reduce(
      (sum, log, i) => sum + Math.exp(log) * (log - (s?.[i] ?? 0)),
      0,
    );
    const hard = -(softmaxLogs(student)[LABELS[n] ?? 0] ?? 0);
    loss += (alpha * t * t * divergence) / 4;
    if (n < labelled) loss += ((1 - alpha) * hard) / labelled;
  }
  return loss;
}

const course = (from: number, to: number, shape: Course['shape'] = 'linear') => ({
  from,
  to,
  shape,
});

describe('terms of the loss', () => {
  it('stay', async () => {
    const { losses } = await trained({}, 0);
    expect(losses.length).toBe(STEPS);
    for (const loss of losses) expect(loss).toBeCloseTo(expectedLoss(0.7, 2), 4);
  });

  it('leave samples without a label to the teacher', async () => {
    const { losses } = await trained({ labels: [0, -1, -1, -1] }, 0);
    for (const loss of losses) expect(loss).toBeCloseTo(expectedLoss(0.7, 2, 1), 4);
    const none = await trained({ labels: [-1, -1, -1, -1] }, 0);
    for (const loss of none.losses) expect(loss).toBeCloseTo(expectedLoss(0.7, 2, 0), 4);
  });

  it('go from one value to another over the run', async () => {
    const terms = { temperature: course(8, 1), alpha: course(0.9, 0.1, 'cosine') };
    const { losses } = await trained(terms, 0);
    losses.forEach((loss, step) => {
      const progress = step / (STEPS - 1);
      const alpha = 0.1 + (0.8 * (1 + Math.cos(Math.PI * progress))) / 2;
      expect(loss).toBeCloseTo(expectedLoss(alpha, 8 - 7 * progress), 4);
    });
    expect(losses[0]).not.toBeCloseTo(losses[STEPS - 1] ?? 0, 2);
  });

  it('go on to the same bytes after a stop', async () => {
    const terms = { temperature: course(8, 1), alpha: course(0.9, 0.1) };
    const [whole, parts] = [await trained(terms, 0.05), await trained(terms, 0.05, 4)];
    expect(whole.losses).toEqual(parts.losses);
    for (const [name, tensor] of whole.rest.state) {
      const other = parts.rest.state.get(name);
      expect(Buffer.compare(tensor.bytes(), other?.bytes() ?? Buffer.of())).toBe(0);
    }
  });
});

describe('forms of the soft loss', () => {
  const ending = (op: string) => `
g (float[4, 3] x, float[4, 5] said) => (float[4, 5] y)
<float[3, 5] w = random>
{
  z = MatMul(x, w)
  y = ${op} (z)
}`;
  /** Logits of the student, row by row. */
  const own = () => {
    const [w] = [...parseModel(TEXT).graph.initializers].map(({ data }) => data?.numbers() ?? []);
    return Array.from({ length: 20 }, (_, at) =>
      [0, 1, 2].reduce(
        (sum, k) => sum + (X[Math.floor(at / 5) * 3 + k] ?? 0) * (w?.[k * 5 + (at % 5)] ?? 0),
        0,
      ),
    );
  };
  const lossOf = async (terms: Partial<Distillation>, text: string) => {
    const { losses } = await trained({ hard: undefined, ...terms, text }, 0, 1);
    return losses[0];
  };

  it('chances: the divergence of each for itself', async () => {
    const t = 2;
    const expected = own().reduce((sum, logit, i) => {
      const [p, q] = [SAID[i] ?? 0, logit].map((z) => 1 / (1 + Math.exp(-z / t))) as [
        number,
        number,
      ];
      return sum + p * Math.log(p / q) + (1 - p) * Math.log((1 - p) / (1 - q));
    }, 0);
    const loss = await lossOf({ soft: 'chances' }, ending('Sigmoid'));
    expect(loss).toBeCloseTo((t * t * expected) / 20, 4);
  });

  it('squared distance: of logits where a Softmax stands behind them', async () => {
    const expected = own().reduce((sum, logit, i) => sum + (logit - (SAID[i] ?? 0)) ** 2, 0) / 20;
    for (const text of [TEXT, ending('Softmax')]) {
      expect(await lossOf({ soft: 'mse' }, text)).toBeCloseTo(expected, 4);
    }
  });

  it('follow from what outputs are', () => {
    const of = (output: string, body: string, objective?: Objective) => {
      const { graph } = parseModel(`g (float[4, 6] x) => (${output} y) { ${body} }`);
      return softFor(graph, objective);
    };
    expect(of('float[4, 6]', 'y = Relu(x)')).toBe('kl');
    expect(of('float[4, 6]', 'y = Sigmoid(x)')).toBe('chances');
    expect(of('float[4, 6]', 'y = Relu(x)', OBJECTIVES.multilabel)).toBe('chances');
    expect(of('float[4, 6]', 'y = Sigmoid(x)', OBJECTIVES.regress)).toBe('mse');
    expect(of('float[4, 1]', 'y = Relu(x)', OBJECTIVES.classify)).toBe('chances');
    expect(of('float[4, 1]', 'y = Relu(x)')).toBe('mse');
    expect(of('float[4, 6, 1, 1]', 'y = Relu(x)')).toBe('kl');
    expect(of('float[4, 6, 2, 2]', 'y = Relu(x)')).toBe('mse');
  });
});

describe('tokens', () => {
  const TOKENS = `
g (int64[2, 3] input_ids, int64[2, 3] attention_mask, float[2, 3, 5] said) => (float[2, 3, 5] y)
<float[7, 5] w = random>
{ y = Gather(w, input_ids) }`;

  it('that are padding count for nothing', async () => {
    const graph = graphOf({ hard: undefined }, TOKENS);
    const session = await loadModel(graph.model);
    const lossOf = async (said: Float32Array) => {
      const results = await session.run(
        new Map([
          ...initialState(graph),
          [RATE, Tensor.of('float32', [1], [0])],
          [COUNT, Tensor.scalar('int64', 1)],
          ['input_ids', Tensor.int64([0, 1, 2, 3, 4, 0]).reshape([1, 2, 3])],
          ['attention_mask', Tensor.int64([1, 1, 1, 1, 1, 0]).reshape([1, 2, 3])],
          ['said', Tensor.of('float32', [1, 2, 3, 5], said)],
        ]),
      );
      return results.get(graph.reports.get('loss') ?? '')?.numbers()[0];
    };
    const said = normal(30, 3);
    const changedAt = (token: number) =>
      said.map((value, i) => (Math.floor(i / 5) === token ? value * (i % 5) : value));
    const loss = await lossOf(said);
    expect(await lossOf(changedAt(5))).toBe(loss);
    expect(await lossOf(changedAt(4))).not.toBe(loss);
    await session.dispose();
  });
});

describe('teachers in the graph of their student', () => {
  it('drop nothing', () => {
    const text = (op: string) => `
g (float[2, 3] x) => (float[2, 3] y)
<float[3, 3] w = random>
{
  d = ${op} (x)
  y = MatMul(d, w)
}`;
    const [student, teacher] = [parseModel(text('Relu')), parseModel(text('Dropout'))];
    const [said] = graft(student, teacher, TEACHER);
    const ops = [...student.graph.nodes].map(({ op }) => op);
    expect(ops.sort()).toEqual(['MatMul', 'MatMul', 'Relu']);
    expect(said?.producer?.input(0)).toBe(student.graph.inputs[0]);
  });
});
