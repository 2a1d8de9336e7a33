// A teacher as it is read made to fit a student: for batches of the same size, with the same inputs.

import { teacherDoesNotFit, teacherNotFed } from '../../errors/distill.ts';
import { type Model, printShape, printType, type Value } from '../../graph/index.ts';
import { createRunner } from '../../runtime/runner.ts';
import type { Feeds } from '../../tensor/feeds.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { comparedOutputs, type Soft } from '../../train/distill.ts';
import { fitInputs, fitOutputs } from '../../train/fit.ts';
import { sharedInputs } from '../../train/graft.ts';
import { withoutOnes } from '../../train/objectives/objective.ts';
import { openFused } from '../../train/open.ts';
import { plainModel } from './prepare.ts';
import type { Teaching, TrainRequest } from './request.ts';

/** The teacher for one batch, with the student's inputs, and what it says beside the student's outputs. */
export async function fittedTeacher(
  { model, path }: Teaching['teachers'][number],
  student: Model,
  soft: Soft,
  request: TrainRequest,
  sample: Feeds,
): Promise<{ plain: Model; said: Value[] }> {
  const own = (feeds: Model) =>
    new Map(
      [...sharedInputs(student, feeds)].flatMap(([{ name }, given]) => {
        const tensor = given && sample.get(given.name);
        return tensor ? [[name, tensor] as const] : [];
      }),
    );
  const plain = await plainModel(model, request.batch, own(model));
  const types = plain.graph.inputs.map(({ type }) => printType(type));
  if (request.teaching?.method === 'attention') openFused(plain);
  const unfed = fitInputs(plain, student);
  if (unfed !== undefined) {
    const at = plain.graph.inputs.findIndex(({ name }) => name === unfed);
    throw teacherNotFed(path, unfed, types[at] ?? '', inputsOf(student));
  }
  const said = await fitOutputs(plain, student, soft, (values) =>
    areProbable(plain, values, own(plain), soft, request),
  );
  const shape = (value: Value | undefined) => (value ? printShape(value.shape) : 'nothing');
  const [ours, theirs] = [comparedOutputs(student.graph.outputs, soft), said].map((values) =>
    values.map(shape).join(', '),
  );
  if (ours !== theirs) throw teacherDoesNotFit(path, ours ?? '', theirs ?? '');
  return { plain, said: said as Value[] };
}

function inputsOf({ graph }: Model): string {
  const inputs = graph.inputs.filter(({ data }) => !data);
  return inputs.map(({ name, type }) => `"${name}" ${printType(type)}`).join(', ');
}

/** Which of a teacher's values are probabilities, as a sample shows: of distributions rows sum to one. */
async function areProbable(
  teacher: Model,
  values: readonly Value[],
  sample: Feeds,
  soft: Soft,
  { batch, session }: TrainRequest,
): Promise<boolean[]> {
  const probe = teacher.clone();
  const made = new Map(
    [...probe.graph.nodes].flatMap(({ outputs }) => outputs).map((v) => [v.name, v]),
  );
  probe.graph.outputs = values.map(({ name }) => made.get(name) as Value);
  const feeds = new Map([...sample].map(([name, tensor]) => [name, repeated(tensor, batch)]));
  const results = await createRunner(session)(probe, feeds);
  return values.map((value) => {
    const numbers = results.get(value.name)?.numbers() ?? [];
    const classes = Number(withoutOnes(value.shape).at(-1) ?? 1);
    const sum = numbers.slice(0, classes).reduce((a, b) => a + b, 0);
    const isChance = numbers.every((number) => number >= 0 && number <= 1);
    return isChance && (soft === 'chances' || Math.abs(sum - 1) < 1e-2);
  });
}

/** One sample as a batch of the same. */
function repeated(tensor: Tensor, batch: number): Tensor {
  const bytes = Buffer.concat(Array.from({ length: batch }, () => tensor.bytes()));
  return Tensor.fromBytes(tensor.dtype, [batch, ...tensor.shape.slice(1)], new Uint8Array(bytes));
}
