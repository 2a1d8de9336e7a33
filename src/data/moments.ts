// Mean and deviation of what a dataset holds, column by column, in one pass.

import { elementsOf } from '../tensor/elements.ts';
import type { Feeds } from '../tensor/feeds.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { Dataset } from './dataset.ts';

/** Of the numbers along the last axis of an array; one number each where samples are single numbers. */
export interface Moments {
  readonly mean: Float64Array;
  /** Root of the mean square around it; 1 where all numbers of a column are the same. */
  readonly deviation: Float64Array;
}

const BATCH = 256;

/** Of the inputs and the targets that are numbers, by name. */
export async function momentsOf(dataset: Pick<Dataset, 'batches'>): Promise<{
  readonly inputs: ReadonlyMap<string, Moments>;
  readonly targets: ReadonlyMap<string, Moments>;
}> {
  const [inputs, targets] = [new Map<string, Columns>(), new Map<string, Columns>()];
  for await (const batch of dataset.batches(BATCH)) {
    addAll(inputs, batch.feeds);
    addAll(targets, batch.targets);
  }
  return { inputs: finished(inputs), targets: finished(targets) };
}

function addAll(columns: Map<string, Columns>, tensors: Feeds): void {
  for (const [name, tensor] of tensors) {
    if (tensor.dtype === 'string') continue;
    const own = columns.get(name) ?? new Columns(tensor);
    columns.set(name, own);
    own.add(tensor);
  }
}

function finished(columns: ReadonlyMap<string, Columns>): Map<string, Moments> {
  return new Map([...columns].map(([name, own]) => [name, own.finish()]));
}

class Columns {
  /** The first number of each column: sums of what is off it do not cancel. */
  readonly #origin: Float64Array;
  readonly #sum: Float64Array;
  readonly #squares: Float64Array;
  #rows = 0;

  constructor(first: Tensor) {
    const width = first.shape.length > 1 ? (first.shape.at(-1) ?? 1) : 1;
    this.#origin = numbersOf(first).slice(0, width);
    this.#sum = new Float64Array(width);
    this.#squares = new Float64Array(width);
  }

  add(tensor: Tensor): void {
    const numbers = numbersOf(tensor);
    const width = this.#origin.length;
    for (let i = 0; i < numbers.length; i++) {
      const column = i % width;
      const off = (numbers[i] as number) - (this.#origin[column] as number);
      this.#sum[column] = (this.#sum[column] as number) + off;
      this.#squares[column] = (this.#squares[column] as number) + off * off;
    }
    this.#rows += numbers.length / width;
  }

  finish(): Moments {
    const rows = Math.max(1, this.#rows);
    const off = this.#sum.map((sum) => sum / rows);
    const mean = off.map((one, i) => one + (this.#origin[i] as number));
    const deviation = this.#squares.map((squares, i) => {
      const variance = squares / rows - (off[i] as number) ** 2;
      return variance > 0 ? Math.sqrt(variance) : 1;
    });
    return { mean, deviation };
  }
}

function numbersOf(tensor: Tensor): Float64Array {
  return Float64Array.from(elementsOf(tensor) as ArrayLike<number | bigint>, Number);
}
