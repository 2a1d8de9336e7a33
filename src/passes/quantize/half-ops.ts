// What half precision can do with an operator: which of its inputs and outputs become half, whether
// it only moves elements, and which operators stay float32 for what they compute.

import type { Node, Value } from '../../graph/index.ts';
import { MICROSOFT, STANDARD } from './half-slots.ts';

export type Half = 'float16' | 'bfloat16';

export interface Slots {
  /** Inputs and outputs that become half, by position. */
  readonly inputs: (index: number) => boolean;
  readonly outputs: (index: number) => boolean;
}

/** Which inputs and outputs of a node become half; undefined: it has no half form. */
export function slotsOf(node: Node, opset: number, half: Half): Slots | undefined {
  if (node.domain === '' && node.op === 'Cast') return castSlots(node);
  if (node.domain === '' && node.op === 'ConstantOfShape') {
    return only((index) => index < 0, half === 'float16' ? opset >= 9 : opset >= 20);
  }
  const table = node.domain === '' ? STANDARD : node.domain === 'com.microsoft' ? MICROSOFT : {};
  const row = Object.hasOwn(table, node.op) ? table[node.op] : undefined;
  const signature = row && signatureAt(row, opset);
  if (!signature) return undefined;
  const [inputs = '', outputs = ''] = signature.split('>');
  const allowed = half === 'float16' ? 'hb' : 'b';
  if (![...signature].some((letter) => allowed.includes(letter))) return undefined;
  return {
    inputs: (index) => allowed.includes(letterAt(inputs, index)),
    outputs: (index) => allowed.includes(letterAt(outputs, index)),
  };
}

/** The signature of the newest version that the opset has. */
function signatureAt(row: string, opset: number): string | undefined {
  const words = row.split(' ');
  let found: string | undefined;
  for (let i = 0; i + 1 < words.length; i += 2) {
    if (Number(words[i]) <= opset) found = words[i + 1];
  }
  return found;
}

function letterAt(letters: string, index: number): string {
  const star = letters.indexOf('*');
  const at = star >= 0 && index >= star ? star - 1 : index;
  return letters[at] ?? '.';
}

/** A Cast takes what it is given; one to float32 can be one to half. */
function castSlots(node: Node): Slots | undefined {
  const from = node.input(0)?.dtype;
  const to = node.output.dtype;
  if (to === 'string' || to === 'float64' || from === 'float64' || !from || !to) return undefined;
  return only(() => true, true);
}

function only(inputs: (index: number) => boolean, allowed: boolean): Slots | undefined {
  return allowed ? { inputs, outputs: () => true } : undefined;
}

const words = (text: string) => new Set(text.split(' '));

const MOVES = words(
  'CenterCropPad Compress Concat ConstantOfShape DepthToSpace Dropout Expand Flatten Gather GatherElements GatherND Identity OneHot Pad Reshape ReverseSequence Scatter ScatterElements ScatterND Shape Size Slice SpaceToDepth Split Squeeze Tile Transpose Trilu Unsqueeze Where MaxPool GlobalMaxPool MaxUnpool Max Min ReduceMax ReduceMin Relu Neg Abs Sign TopK Clip IsNaN IsInf NonZero Cast TensorScatter ArgMax ArgMin Hardmax',
);

/** Whether the elements of the result are elements of the inputs: nothing is lost in half. */
export function isMove(node: Node): boolean {
  return node.domain === '' && MOVES.has(node.op);
}

const ELEMENTWISE = words(
  'Add Sub Mul Div Sqrt Pow Equal Greater GreaterOrEqual Less LessOrEqual Floor Ceil Round Sum Mean Sigmoid Tanh Erf LeakyRelu PRelu Elu Selu Softplus Softsign HardSigmoid HardSwish Gelu Mish Swish ThresholdedRelu Shrink BatchNormalization',
);

/** Operators that are not worth a Cast of their own: they take the precision of their neighbours. */
export function isCheap(node: Node): boolean {
  return isMove(node) || (node.domain === '' && ELEMENTWISE.has(node.op));
}

const TOO_LARGE = 'its results may be beyond what half can hold';
const SUMS = 'sums of many numbers lose digits in half, or exceed it';
const COORDINATES = 'half is too coarse for its coordinates';

const STAYS: ReadonlyMap<string, string> = new Map([
  ...reasons('Exp Pow Sinh Cosh Reciprocal Tan', TOO_LARGE),
  ...reasons(
    'ReduceSum ReduceSumSquare ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceProd CumSum CumProd',
    SUMS,
  ),
  ...reasons('LRN LpNormalization LpPool GlobalLpPool MeanVarianceNormalization Det', SUMS),
  ...reasons('GridSample AffineGrid RoiAlign MaxRoiPool DeformConv', COORDINATES),
  ...reasons('Log', 'small arguments lose their digits in half'),
  ...reasons('Sin Cos', 'large arguments lose their digits in half'),
  ...reasons('Mod BitCast', 'its result depends on every digit'),
  ...reasons(
    'RandomNormal RandomUniform RandomNormalLike RandomUniformLike Bernoulli Multinomial',
    'other numbers would be drawn',
  ),
]);

function reasons(ops: string, reason: string): [string, string][] {
  return [...words(ops)].map((op) => [op, reason]);
}

/** Why an operator stays float32 wherever it stands. */
export function staysFloat(node: Node): string | undefined {
  return node.domain === '' ? STAYS.get(node.op) : undefined;
}

/** Whether a value may hold what half precision could: a float32 tensor. */
export function isSingle(value: Value | undefined): value is Value {
  return value?.dtype === 'float32';
}

/** The name of an operator in the tables of kernels: of those of one name, it has the domain in front. */
export function kernelOf({ op, domain }: Node): string {
  return domain !== '' && Object.hasOwn(STANDARD, op) ? `${domain}.${op}` : op;
}
