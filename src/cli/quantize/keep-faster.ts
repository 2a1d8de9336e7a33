// Whether quantisation was worth it where it runs: both models are timed side by side, and layers
// whose integer kernels take longer than their float ones are tried as float again.

import { join } from 'node:path';
import { writeModel } from '../../onnx/index.ts';
import type { Precision } from '../../passes/quantize/context.ts';
import type { Reporter } from '../../report/reporter.ts';
import { profileModel } from '../../runtime/bench.ts';
import { type Contest, contest } from '../../runtime/contest.ts';
import type { SessionOptions } from '../../runtime/options.ts';
import type { Profile } from '../../runtime/profile.ts';
import { type Scratch, scratchFolder } from '../../runtime/scratch.ts';
import type { Feeds } from '../../tensor/feeds.ts';
import { type Layers, type Quantized, type Quantizer, quantizedLayers } from './quantizer.ts';

export interface SpeedInput {
  /** The original, in a file. */
  readonly reference: string;
  readonly feeds: Feeds;
  readonly session: SessionOptions;
  readonly seed: number;
  readonly reporter: Reporter;
}

export interface Faster {
  readonly layers: Layers;
  readonly quantized: Quantized;
  readonly speed: Contest;
  /** Layers that were left float because they were slower. */
  readonly returned: readonly string[];
  /** The whole model is slower than the original, by more than clocks can tell apart. */
  readonly isSlower: boolean;
}

/** A layer must lose so much, by share and by its part of the whole, to be tried as float. */
const SLOWER = 1.2;
const WORTH = 0.01;
/** Differences below this are noise on any machine: they change nothing. */
const NOTICEABLE_MS = 0.1;

type Changed = Pick<Quantized, 'model'>;

/** Times the changed model against the original. */
export async function timeAgainst(input: SpeedInput, quantized: Changed): Promise<Contest> {
  const folder = scratchFolder();
  try {
    const file = await save(folder, 'quantized', quantized);
    return await contest(input.reference, file, input.feeds, input.session, input.seed);
  } finally {
    folder.remove();
  }
}

/** Leaves float what came out slower, where that makes the whole model faster. */
export async function keepFaster(
  input: SpeedInput,
  quantizer: Quantizer,
  layers: Layers,
  quantized: Quantized,
): Promise<Faster> {
  const folder = scratchFolder();
  try {
    const first = await save(folder, 'first', quantized);
    let speed = await timed(input, input.reference, first);
    let result = { layers, quantized, returned: [] as readonly string[] };
    const slow = await slowLayers(input, first, quantized);
    if (slow.length > 0) {
      const wanted = new Map([...layers, ...slow.map((name) => [name, FLOAT] as const)]);
      const trial = await quantizer(wanted);
      const second = await save(folder, 'second', trial);
      const gain = await timed(input, first, second);
      if (isBetter(gain)) {
        result = { layers: wanted, quantized: trial, returned: slow };
        speed = await timed(input, input.reference, second);
      }
    }
    const { reference, contender, comparison } = speed;
    const lost = contender.p50 - reference.p50;
    const isSlower = comparison.verdict === 'slower' && lost > NOTICEABLE_MS;
    return { ...result, speed, isSlower };
  } finally {
    folder.remove();
  }
}

const FLOAT: Precision = 'float';

function isBetter({ reference, contender, comparison }: Contest): boolean {
  return comparison.verdict === 'faster' && reference.p50 - contender.p50 > NOTICEABLE_MS;
}

function timed(input: SpeedInput, reference: string, contender: string): Promise<Contest> {
  return contest(reference, contender, input.feeds, input.session, input.seed);
}

async function save(folder: Scratch, name: string, { model }: Changed): Promise<string> {
  const file = join(folder.path, `${name}.onnx`);
  await writeModel(model.clone(), file);
  return file;
}

async function slowLayers(
  input: SpeedInput,
  file: string,
  quantized: Quantized,
): Promise<string[]> {
  const names = quantizedLayers(quantized);
  const before = await profileModel(input.reference, input.feeds, input.session);
  const after = await profileModel(file, input.feeds, input.session);
  const [was, is] = [layerTimes(before, names), layerTimes(after, names)];
  const found = names.filter((name) => {
    const [float, integer] = [was.get(name), is.get(name)];
    if (float === undefined || integer === undefined) return false;
    const lost = integer - float;
    return integer > SLOWER * float && lost > WORTH * after.ms && lost > NOTICEABLE_MS / 4;
  });
  for (const name of found) {
    const [float = 0, integer = 0] = [was.get(name), is.get(name)];
    input.reporter.detail(`${name}: ${integer.toFixed(3)} ms, float ${float.toFixed(3)} ms`);
  }
  return found;
}

/**
 * Time per layer. onnxruntime names what it makes of a node after it, with an ending
 * (`conv1_nchwc`, `conv1_token_7`), and so do the passes (`fc/MatMulInteger`).
 */
export function layerTimes(profile: Profile, layers: readonly string[]): Map<string, number> {
  const byLength = [...layers].sort((a, b) => b.length - a.length);
  const times = new Map<string, number>();
  for (const { name, ms } of profile.nodes) {
    const layer = byLength.find((one) => name === one || isNamedAfter(name, one));
    if (layer) times.set(layer, (times.get(layer) ?? 0) + ms);
  }
  return times;
}

function isNamedAfter(name: string, layer: string): boolean {
  return name.startsWith(layer) && /^(_token_\d+|_nchwc|_quant|\/)/.test(name.slice(layer.length));
}
