import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { tensorType, Value } from '../../src/graph/index.ts';
import { inferTypes } from '../../src/ops/index.ts';
import { loadModel } from '../../src/runtime/runner.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { differentiate } from '../../src/train/differentiate.ts';
import { Formula } from '../../src/train/formula.ts';
import { OBJECTIVES, type ObjectiveName } from '../../src/train/objectives/index.ts';
import {
  meanValue,
  OBJECTIVE_DEFAULTS,
  type ObjectiveSettings,
} from '../../src/train/objectives/objective.ts';
import { parseModel } from '../helpers/parse.ts';

// Made by bench/objectives_torch.py with PyTorch's losses on the same outputs.
const reference = JSON.parse(
  readFileSync(new URL('./objectives.json', import.meta.url), 'utf8'),
) as Record<string, { loss: number; gradient: number[] }>;

interface Case {
  readonly objective: ObjectiveName;
  readonly shape: readonly number[];
  readonly settings?: Partial<ObjectiveSettings>;
  readonly labels?: Tensor;
  /** Token ids that the model reads. */
  readonly ids?: Tensor;
  /** What makes y of x; the last operator is undone where it makes probabilities. */
  readonly last?: string;
}

const wave = (size: number) => Array.from({ length: size }, (_, i) => 2 * Math.sin(1.7 * i + 0.3));
const classes = (...labels: number[]) => Tensor.int64(labels);
const labels = classes(2, 0, 1, 2);
const two = classes(1, 0, 0, 1);
const many = Tensor.of('float32', [4, 3], [1, 0, 1, 0, 0, 1, 1, 1, 0, 0, 1, 0]);
const classWeights = [0.5, 2, 1];
/** Rows of the wave in reverse order, halved and lifted. */
const numbers = Tensor.of(
  'float32',
  [4, 3],
  [3, 2, 1, 0].flatMap((row) => wave(12).slice(3 * row, 3 * row + 3)).map((x) => 0.5 * x + 0.2),
);
const of3 = { objective: 'classify', shape: [4, 3] } as const;
const of1 = { objective: 'classify', shape: [4, 1] } as const;
const regress = { objective: 'regress', shape: [4, 3], labels: numbers } as const;

const cases: Record<string, Case> = {
  classify: { ...of3, labels },
  'classify-smooth': { ...of3, labels, settings: { labelSmoothing: 0.1 }, last: 'Softmax' },
  'classify-weights': { ...of3, labels, settings: { classWeights }, last: 'LogSoftmax' },
  'classify-both': { ...of3, labels, settings: { classWeights, labelSmoothing: 0.1 } },
  'classify-ignored': { ...of3, labels: classes(2, -100, 1, 2), settings: { classWeights } },
  binary: { ...of1, labels: two, last: 'Sigmoid' },
  'binary-smooth': { ...of1, labels: two, settings: { labelSmoothing: 0.2 } },
  'binary-weights': { ...of1, labels: two, settings: { classWeights: [0.5, 2] } },
  multilabel: { objective: 'multilabel', shape: [4, 3], labels: many, last: 'Sigmoid' },
  'multilabel-weights': {
    ...{ objective: 'multilabel', shape: [4, 3], labels: many },
    settings: { classWeights },
  },
  mse: regress,
  mae: { ...regress, settings: { distance: 'mae' } },
  huber: { ...regress, settings: { distance: 'huber', delta: 0.7 } },
  mlm: {
    ...{ objective: 'mlm', shape: [2, 4, 5] },
    labels: classes(3, 1, 4, -100, 1, -100, 0, 2).reshape([2, 4]),
  },
  clm: { objective: 'clm', shape: [2, 4, 5], ids: classes(3, 1, 4, 0, 1, 4, 0, 2).reshape([2, 4]) },
  contrastive: { objective: 'contrastive', shape: [6, 3] },
};

async function judge(one: Case): Promise<{ loss: number; gradient: number[] }> {
  const shape = one.shape.join(', ');
  const model = parseModel(`
g (float[${shape}] x, int64[2, 4] ids) => (float[${shape}] y)
{
  y = ${one.last ?? 'Identity'}(x)
}`);
  model.opsets.set('', 21);
  inferTypes(model);
  const [x, ids] = model.graph.inputs as [Value, Value];
  const target = new Value('labels', tensorType(one.labels?.dtype ?? 'int64', one.labels?.shape));
  model.graph.inputs.push(target);
  const f = new Formula(model);
  const { loss } = OBJECTIVES[one.objective].build({
    f,
    inputs: [ids],
    outputs: model.graph.outputs,
    settings: { ...OBJECTIVE_DEFAULTS, ...one.settings },
    target: () => target,
  });
  const mean = meanValue(f, loss);
  const gradient = differentiate(model, mean, [x]).get(x) as Value;
  model.graph.outputs = [mean, gradient];
  const session = await loadModel(model);
  const size = one.shape.reduce((a, b) => a * b, 1);
  const found = await session.run(
    new Map([
      ['x', Tensor.of('float32', one.shape, wave(size))],
      ['ids', one.ids ?? Tensor.of('int64', [2, 4], new Array<number>(8).fill(0))],
      ['labels', one.labels ?? Tensor.int64([])],
    ]),
  );
  await session.dispose();
  const [value, slopes] = [mean, gradient].map(({ name }) => found.get(name)?.numbers() ?? []);
  return { loss: value?.[0] ?? Number.NaN, gradient: slopes ?? [] };
}

describe('objectives', () => {
  it.each(Object.keys(cases))('%s is the loss of PyTorch, and so is its gradient', async (name) => {
    const wanted = reference[name] as { loss: number; gradient: number[] };
    const found = await judge(cases[name] as Case);
    expect(found.loss).toBeCloseTo(wanted.loss, 5);
    expect(found.gradient).toHaveLength(wanted.gradient.length);
    found.gradient.forEach((slope, i) => {
      expect(slope).toBeCloseTo(wanted.gradient[i] as number, 5);
    });
  });

  it('are all held against PyTorch that the reference has', () => {
    expect(Object.keys(cases).sort()).toEqual(Object.keys(reference).sort());
  });

  it('refuse weights for other classes than the model has', async () => {
    const one = { ...of3, labels, settings: { classWeights: [1, 2] } };
    await expect(judge(one)).rejects.toThrow(/"1,2" is not a value for --class-weights/);
  });

  it('refuse a loss that is no output', async () => {
    const one: Case = { objective: 'output', shape: [4, 3], settings: { output: 'losss' } };
    await expect(judge(one)).rejects.toThrow(/no output "losss"/);
  });

  it('take the mean of an output that is the loss', async () => {
    const found = await judge({ objective: 'output', shape: [4, 3], settings: { output: 'y' } });
    expect(found.loss).toBeCloseTo(wave(12).reduce((a, b) => a + b, 0) / 12, 5);
    for (const slope of found.gradient) expect(slope).toBeCloseTo(1 / 12, 6);
  });
});
