// FPGM: a filter near the geometric median of its layer can be made up for by the others. Score of a
// unit: the sum of its distances to all others, |a - b|² = |a|² + |b|² - 2 a·b, over the weights that
// make the units. He et al. 2019, "Filter Pruning via Geometric Median".

import { Builder, Graph, Model, tensorType } from '../../graph/index.ts';
import { elementCount } from '../../tensor/dtype.ts';
import { Tensor } from '../../tensor/tensor.ts';
import type { Runner } from '../pass.ts';
import type { Group, Member } from './group.ts';
import { numbersOf } from './weights.ts';

export async function medianDistances(
  groups: readonly Group[],
  { run }: { readonly run?: Runner | undefined },
): Promise<Float64Array[]> {
  const scores: Float64Array[] = [];
  for (const group of groups) scores.push(await distancesIn(group, run));
  return scores;
}

async function distancesIn({ units, weights }: Group, run?: Runner): Promise<Float64Array> {
  const squares = new Float64Array(units * units);
  const makers = weights.filter(({ role }) => role === 'makes');
  const counted = makers.length > 0 ? makers : weights.filter(({ role }) => role === 'sums');
  for (const member of counted) {
    const rows = await rowsOf(member, units);
    if (!rows) continue;
    const width = rows.length / units;
    addDistances(squares, await products(rows, units, width, run), units);
  }
  return Float64Array.from({ length: units }, (_, a) => {
    let sum = 0;
    for (let b = 0; b < units; b++) sum += Math.sqrt(Math.max(0, squares[a * units + b] as number));
    return sum;
  });
}

function addDistances(squares: Float64Array, gram: ArrayLike<number>, units: number): void {
  for (let a = 0; a < units; a++) {
    for (let b = 0; b < units; b++) {
      const [aa, bb] = [gram[a * units + a] as number, gram[b * units + b] as number];
      const i = a * units + b;
      squares[i] = (squares[i] as number) + aa + bb - 2 * (gram[i] as number);
    }
  }
}

/** The numbers of each unit, one after the other. */
async function rowsOf(member: Member, units: number): Promise<Float32Array | undefined> {
  const numbers = await numbersOf(member.value);
  if (!numbers) return undefined;
  const shape = member.value.shape as readonly number[];
  const inner = elementCount(shape.slice(member.axis + 1));
  const outer = elementCount(shape.slice(0, member.axis));
  const per = member.positions[0]?.length ?? 0;
  if (member.positions.some(({ length }) => length !== per)) return undefined;
  const rows = new Float32Array(units * per * inner * outer);
  let at = 0;
  for (const positions of member.positions) {
    for (let o = 0; o < outer; o++) {
      for (const i of positions) {
        const from = (o * member.size + i) * inner;
        rows.set(numbers.subarray(from, from + inner), at);
        at += inner;
      }
    }
  }
  return rows;
}

/** X Xᵀ of X [units, width]. */
async function products(
  rows: Float32Array,
  units: number,
  width: number,
  run?: Runner,
): Promise<ArrayLike<number>> {
  if (!run) return slowProducts(rows, units, width);
  const model = new Model(new Graph('gram'), new Map([['', 13]]), 8);
  const g = new Builder(model.graph);
  const x = g.input('x', tensorType('float32', [units, width]));
  const y = g.op('MatMul', [x, g.op('Transpose', [x], { perm: [1, 0] })]);
  y.type = tensorType('float32', [units, units]);
  g.output(y, 'y');
  const feeds = new Map([['x', Tensor.of('float32', [units, width], rows)]]);
  const result = await run(model, feeds);
  return (result.get('y') as Tensor).values() as Float32Array;
}

function slowProducts(rows: Float32Array, units: number, width: number): Float64Array {
  const gram = new Float64Array(units * units);
  for (let a = 0; a < units; a++) {
    for (let b = a; b < units; b++) {
      let sum = 0;
      for (let k = 0; k < width; k++) {
        sum += (rows[a * width + k] as number) * (rows[b * width + k] as number);
      }
      gram[a * units + b] = sum;
      gram[b * units + a] = sum;
    }
  }
  return gram;
}
