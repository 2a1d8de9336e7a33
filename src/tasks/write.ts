// Texts that an encoder-decoder model writes: one graph with an input `decoder_input_ids`, or a decoder
// beside an encoder, with the names that Hugging Face Optimum gives their inputs and outputs.

import type { Batch, InputSpec } from '../data/dataset.ts';
import { noEnd, notADecoder } from '../errors/generate.ts';
import { beamSearch } from '../generate/beam.ts';
import { greedy } from '../generate/greedy.ts';
import { type DecoderInput, ModelDecoder } from '../generate/model-decoder.ts';
import type { Model } from '../graph/index.ts';
import type { Feeds } from '../tensor/feeds.ts';
import { isFloatOutput } from './ports.ts';
import type { Run, TaskInput } from './task.ts';

/** Inputs of a model that what was written, and not the data, fills. */
const OWN = /^(decoder_|past_key_values\.|use_cache_branch$)/;

/** Whether a model has its encoder in it. */
export function isDecoder(inputs: readonly { readonly name: string }[]): boolean {
  return inputs.some(({ name }) => name === 'decoder_input_ids');
}

/** Those that the data fills. */
export function sourceInputs(inputs: readonly InputSpec[]): InputSpec[] {
  return inputs.filter(({ name }) => !OWN.test(name));
}

/** Writes a text for each sample of a batch. */
export class Writer {
  readonly #input: TaskInput;
  readonly #inputs: readonly DecoderInput[];
  readonly #start: number;
  readonly #end: number;

  constructor(input: TaskInput) {
    this.#input = input;
    this.#inputs = decoderInputs(input.model);
    if (!input.encoder && !isDecoder(this.#inputs)) {
      throw notADecoder(this.#inputs.map(({ name }) => name));
    }
    const { specialTokens } = input.dataset;
    const { start, end, pad = 0 } = specialTokens ?? {};
    if (end === undefined) throw noEnd();
    this.#start = input.options.startToken ?? start ?? pad;
    this.#end = end;
  }

  async write(batch: Batch, run: Run): Promise<string[]> {
    const { options, dataset } = this.#input;
    const context = await this.#context(batch);
    const decoder = new ModelDecoder({
      inputs: this.#inputs,
      context,
      output: options.output,
      run,
    });
    const prompts = Array.from({ length: rowsOf(context) }, () => [this.#start]);
    const maxNewTokens = options.maxTokens ?? lengthOf(batch);
    const limits = { maxNewTokens, eos: [this.#end] };
    const { beams } = options;
    const found =
      beams > 1
        ? await beamSearch(decoder, prompts, { ...limits, beams })
        : await greedy(decoder, prompts, limits);
    return found.slice(0, batch.count).map((ids) => dataset.decode?.(ids) ?? '');
  }

  /** What stays the same while a text is written: the source, or what the encoder made of it. */
  async #context({ feeds }: Batch): Promise<Feeds> {
    const { encoder } = this.#input;
    if (!encoder) return feeds;
    const made = await encoder(feeds);
    // Cut out of one graph: all names are those of that graph.
    if (isDecoder(this.#inputs)) return new Map([...feeds, ...made]);
    const states = [...made.values()].find((t) => t.shape.length === 3 && isFloatOutput(t));
    const mask = feeds.get('attention_mask');
    const context = new Map(made);
    if (states && !made.has('encoder_hidden_states')) context.set('encoder_hidden_states', states);
    return mask ? context.set('encoder_attention_mask', mask) : context;
  }
}

function decoderInputs({ graph }: Model): DecoderInput[] {
  return graph.inputs.flatMap(({ name, dtype, shape, data }) => {
    if (data || !dtype) return [];
    const sizes = (shape ?? []).map((dim) => (typeof dim === 'number' ? dim : 'open'));
    return [{ name, dtype, shape: sizes }];
  });
}

function rowsOf(feeds: Feeds): number {
  return [...feeds.values()][0]?.shape[0] ?? 0;
}

/** Tokens that a source has, with padding. */
function lengthOf({ feeds }: Batch): number {
  return [...feeds.values()].find(({ shape }) => shape.length === 2)?.shape[1] ?? 1;
}
