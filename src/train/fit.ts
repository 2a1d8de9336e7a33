// A teacher made to fit its student. It takes what the student takes, whatever type, layout or name it
// has for that, and says what the student says, in the form in which both are compared.

import { type Dim, type Model, sameShape, Value } from '../graph/index.ts';
import { type DType, elementCount, isFloat } from '../tensor/dtype.ts';
import { Tensor } from '../tensor/tensor.ts';
import { comparedOutputs, type Soft, saidIn } from './distill.ts';
import { Formula } from './formula.ts';
import { sharedInputs } from './graft.ts';
import { withoutOnes } from './objectives/objective.ts';

/** What a text is where its model does not ask: one segment, all of it there. */
const FILLED = new Map([
  ['token_type_ids', 0],
  ['attention_mask', 1],
]);

/** Images and sounds: channels first to channels last, and back. */
const LAYOUTS: readonly (readonly number[])[] = [
  [0, 2, 3, 1],
  [0, 3, 1, 2],
  [0, 2, 1],
];

/** Gives the teacher inputs of the student's types. Returns the name of the first that has no source. */
export function fitInputs(teacher: Model, student: Model): string | undefined {
  const f = new Formula(teacher);
  [f.g.at] = teacher.graph.nodes;
  for (const [own, given] of sharedInputs(student, teacher)) {
    const isSame = own.dtype === given?.dtype && sameShape(own.shape ?? [], given?.shape ?? []);
    if (isSame) continue;
    const readers = [...own.uses];
    const made = given ? refed(f, own, given) : filled(f, own);
    if (!made) return own.name;
    for (const { node, index } of readers) node.setInput(index, made);
  }
  return undefined;
}

/** An input of the type of `given` in the place of `own`, and what `own` was from it. */
function refed(f: Formula, own: Value, given: Value): Value | undefined {
  const { graph } = f.model;
  const outer = new Value(own.name, given.type);
  const made = converted(f, outer, own);
  if (!made) return undefined;
  graph.inputs[graph.inputs.indexOf(own)] = outer;
  own.name = graph.fresh(`${own.name}/own`);
  return made;
}

/** A constant in the place of an input that has one for texts in general. */
function filled(f: Formula, own: Value): Value | undefined {
  const number = FILLED.get(own.name);
  if (number === undefined) return undefined;
  const { graph } = f.model;
  graph.inputs = graph.inputs.filter((input) => input !== own);
  const shape = (own.shape ?? []).map(Number);
  const values = new Array<number>(elementCount(shape)).fill(number);
  return f.g.constant(own.name, Tensor.of(own.dtype ?? 'int64', shape, values));
}

/** `value` with the type, layout and sizes of `like`; undefined where it holds something else. */
function converted(f: Formula, value: Value, like: Value): Value | undefined {
  const [from, to] = [value.shape ?? [], like.shape ?? []];
  const turn = LAYOUTS.find((perm) => perm.length === from.length && isTurned(from, to, perm));
  const cast = f.cast(value, like.dtype as DType);
  if (sameShape(from, to)) return cast;
  if (turn) return f.op('Transpose', [cast], { perm: turn });
  const [ours, theirs] = [from, to].map((shape) => shape.map(Number)) as [number[], number[]];
  return elementCount(ours) === elementCount(theirs) && ours[0] === theirs[0]
    ? f.reshape(cast, theirs)
    : undefined;
}

const isTurned = (from: readonly Dim[], to: readonly Dim[], perm: readonly number[]) =>
  to.length === perm.length && perm.every((axis, i) => from[axis] === to[i]);

/**
 * What the teacher says beside each output of the student that is compared: the output of the same name,
 * else of the same place among those that can be compared; undefined where there is none.
 * `isProbable` tells which of the teacher's values are probabilities.
 */
export async function fitOutputs(
  teacher: Model,
  student: Model,
  soft: Soft,
  isProbable: (values: readonly Value[]) => Promise<boolean[]>,
): Promise<(Value | undefined)[]> {
  const outputs = teacher.graph.outputs
    .map(withoutMaps)
    .filter(({ dtype }) => dtype && isFloat(dtype));
  const ours = comparedOutputs(student.graph.outputs, soft);
  const found = ours.map(({ name }, i) => {
    const theirs = outputs.find((output) => output.name === name) ?? outputs[i];
    return theirs && saidIn(theirs, soft);
  });
  const f = new Formula(teacher);
  const numbers = found.map((value) => value && f.cast(value, 'float32'));
  // What a Softmax was made from is no output.
  const isUnsure = (value: Value | undefined) =>
    value !== undefined && soft !== 'mse' && outputs.includes(value) && !isLinear(value);
  const unsure = numbers.filter((value, i): value is Value => isUnsure(found[i]));
  const answers = unsure.length > 0 ? await isProbable(unsure) : [];
  return numbers.map((value, i) => {
    if (!value) return undefined;
    const logits = answers[unsure.indexOf(value)] ? logitsFrom(f, value, soft) : value;
    return shaped(f, logits, ours[i] as Value);
  });
}

/** A classifier of scikit-learn gives a map for each sample, made from an array. */
function withoutMaps(output: Value): Value {
  const { producer } = output;
  return producer?.op === 'ZipMap' ? (producer.inputs[0] ?? output) : output;
}

const LINEAR = new Set(['Gemm', 'MatMul', 'Conv', 'Add']);

/** Made by a product, perhaps with a bias: no probability. */
const isLinear = ({ producer }: Value) => LINEAR.has(producer?.op ?? '');

/** Below it a probability counts as this. */
const LEAST = 1e-7;

function logitsFrom(f: Formula, probable: Value, soft: Soft): Value {
  const log = (value: Value) => f.op('Log', [f.max(value, LEAST)]);
  if (soft !== 'chances') return log(probable);
  const rest = f.op('Sub', [f.number(1, 'float32'), probable]);
  return f.sub(log(probable), log(rest));
}

/** In the shape of what the student says, but for ones at its end. */
function shaped(f: Formula, value: Value, like: Value): Value {
  const [ours, theirs] = [value, like].map(({ shape }) => shape ?? []) as [Dim[], Dim[]];
  const isSame = sameShape(withoutOnes(ours), withoutOnes(theirs));
  return isSame && !sameShape(ours, theirs) ? f.reshape(value, theirs.map(Number)) : value;
}
