// A decoder over an ONNX model as Hugging Face Optimum exports it: with a cache, where the model takes
// `past_key_values.N.key` and gives `present.N.key`, or without, where every step runs all tokens.

import { noLogits } from '../errors/generate.ts';
import type { DType } from '../tensor/dtype.ts';
import { elementsOf } from '../tensor/elements.ts';
import type { Feeds } from '../tensor/feeds.ts';
import { selectTensor } from '../tensor/gather.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { Decoder } from './decoder.ts';

/** An input of the model. */
export interface DecoderInput {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly (number | string)[];
}

export interface ModelDecoderOptions {
  readonly inputs: readonly DecoderInput[];
  /**
   * Inputs per sample that stay the same, one row per prompt: `encoder_hidden_states`, or what the
   * encoder reads, where it is part of the model.
   */
  readonly context?: Feeds;
  /** The output that holds the logits; `logits` unless said. */
  readonly output?: string | undefined;
  run(feeds: Feeds): Promise<Feeds>;
}

const PAST = 'past_key_values.';
const PRESENT = 'present.';

/** For one call of a search: it remembers the step before. */
export class ModelDecoder implements Decoder {
  readonly #options: ModelDecoderOptions;
  readonly #hasCache: boolean;
  #context: Feeds;
  /** By name of the input; empty before the first step. */
  #past: Feeds = new Map();

  constructor(options: ModelDecoderOptions) {
    this.#options = options;
    this.#context = options.context ?? new Map();
    this.#hasCache = options.inputs.some(({ name }) => name.startsWith(PAST));
  }

  async step(
    rows: readonly (readonly number[])[],
    from: readonly number[],
  ): Promise<readonly Float32Array[]> {
    this.#context = await follow(this.#context, from);
    this.#past = await follow(this.#past, from);
    const known = this.#past.size > 0 ? (rows[0]?.length ?? 1) - 1 : 0;
    const feeds = new Map<string, Tensor>();
    for (const input of this.#options.inputs) {
      const feed = this.#feed(input, rows, known);
      if (feed) feeds.set(input.name, feed);
    }
    const results = await this.#options.run(feeds);
    if (this.#hasCache) this.#past = this.#remember(results);
    return lastOf(results, this.#options.output ?? 'logits');
  }

  #feed(
    { name, dtype, shape }: DecoderInput,
    rows: readonly (readonly number[])[],
    known: number,
  ): Tensor | undefined {
    const given = this.#context.get(name);
    if (given) return given;
    const length = rows[0]?.length ?? 0;
    const size = [rows.length, length - known];
    if (name.startsWith(PAST)) {
      // Free dimensions of a cache are those of batch and tokens; before the first step it is empty.
      const sizes = shape.map((dim) => (typeof dim === 'number' ? dim : 0));
      return this.#past.get(name) ?? Tensor.of(dtype, [rows.length, ...sizes.slice(1)], []);
    }
    if (name === 'use_cache_branch') return Tensor.of('bool', [1], [known > 0 ? 1 : 0]);
    if (name === 'attention_mask' || name === 'decoder_attention_mask') {
      return Tensor.of(dtype, [rows.length, length], new Array(rows.length * length).fill(1));
    }
    if (name === 'position_ids') {
      return Tensor.of(
        dtype,
        size,
        rows.flatMap((row) => [...row.keys()].slice(known)),
      );
    }
    if (name === 'input_ids' || name === 'decoder_input_ids') {
      return Tensor.of(
        dtype,
        size,
        rows.flatMap((row) => row.slice(known)),
      );
    }
    return undefined;
  }

  /** What the model did not compute anew (keys of the encoder, in later steps) stays. */
  #remember(results: Feeds): Feeds {
    const past = new Map(this.#past);
    for (const [name, tensor] of results) {
      if (!name.startsWith(PRESENT)) continue;
      const input = PAST + name.slice(PRESENT.length);
      if (tensor.size > 0 || !past.has(input)) past.set(input, tensor);
    }
    return past;
  }
}

/** The rows that are gone on with; tensors of a large cache are computed here, not when they are fed. */
async function follow(tensors: Feeds, from: readonly number[]): Promise<Feeds> {
  const rows = new Map<string, Tensor>();
  for (const [name, tensor] of tensors) {
    const isSame = tensor.shape[0] === from.length && from.every((row, i) => row === i);
    const selected = isSame ? tensor : selectTensor(tensor, new Map([[0, from]]));
    const { dtype, shape } = selected;
    rows.set(name, isSame ? tensor : Tensor.fromBytes(dtype, shape, await selected.load()));
  }
  return rows;
}

/** Logits [rows, tokens, vocabulary] of the last token of each row. */
function lastOf(results: Feeds, name: string): Float32Array[] {
  const logits = results.get(name);
  if (!logits) throw noLogits(name, [...results.keys()]);
  const [rows = 0, tokens = 1, vocabulary = 0] = logits.shape;
  const values = elementsOf(logits) as Float32Array;
  return Array.from({ length: rows }, (_, row) => {
    const last = (row + 1) * tokens * vocabulary;
    return values.subarray(last - vocabulary, last);
  });
}
