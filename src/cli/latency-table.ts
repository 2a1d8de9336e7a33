// Time per layer over widths, as measured on one provider of one machine. A layer's width is said by
// its multiply-adds, which are the product of what was left of its inputs and of its outputs; between
// two measured widths times lie on a line.

import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { type Model, printModel, substitute, symbolsOf } from '../graph/index.ts';
import { writeModel } from '../onnx/index.ts';
import { nodeCost } from '../ops/cost.ts';
import { inferTypes } from '../ops/index.ts';
import { profileModel } from '../runtime/bench.ts';
import { describeHardware } from '../runtime/hardware.ts';
import { scratchFolder } from '../runtime/scratch.ts';
import type { Pruner } from './prune/plan.ts';
import { layerTimes, type SpeedInput } from './quantize/keep-faster.ts';

export interface TableOptions {
  /** Where the user wants it; the cache folder otherwise. */
  readonly file?: string | undefined;
  /** What else decides which widths are cut: methods, patterns. */
  readonly settings: unknown;
}

type Point = readonly [macs: number, ms: number];

interface TableFile {
  readonly kind: typeof KIND;
  readonly key: string;
  readonly layers: Readonly<Record<string, readonly Point[]>>;
  /** Of everything that is no layer by name. */
  readonly rest: readonly Point[];
}

const KIND = 'xform-latency-table';
const WIDTHS = [0, 0.25, 0.5, 0.75, 0.9];
/** What open sizes are given, to compare widths. */
const NOMINAL_SIZE = 64;

export class LatencyTable {
  readonly #table: TableFile;

  private constructor(table: TableFile) {
    this.#table = table;
  }

  static async measure(
    pruner: Pruner,
    model: Model,
    speed: SpeedInput,
    options: TableOptions,
  ): Promise<LatencyTable> {
    const key = keyOf(model, speed, options);
    const path = options.file ?? join(cacheFolder(), `${key}.json`);
    const known = read(path);
    if (known?.key === key) return new LatencyTable(known);
    if (options.file && known) {
      const message = `"${path}" was measured for another model, machine or provider, and is made anew`;
      speed.reporter.warn({ code: 'latency-table-stale', message });
    }
    const table = await measureTable(pruner, model, speed, key);
    write(path, table);
    return new LatencyTable(table);
  }

  /** Time of a run, in milliseconds. */
  predict(model: Model): number {
    const { layers, rest } = this.#table;
    const costs = costsOf(model);
    let sum = timeAt(rest, total(costs));
    for (const [name, macs] of costs) {
      const points = layers[name];
      if (points) sum += timeAt(points, macs);
    }
    return sum;
  }
}

async function measureTable(
  pruner: Pruner,
  model: Model,
  { feeds, session, reporter }: SpeedInput,
  key: string,
): Promise<TableFile> {
  const layers: Record<string, Point[]> = {};
  const rest: Point[] = [];
  const folder = scratchFolder();
  const step = reporter.step('measuring widths', WIDTHS.length);
  try {
    for (const amount of WIDTHS) {
      const narrow = amount === 0 ? model : (await pruner(model, { amount })).model;
      const costs = costsOf(narrow);
      const file = join(folder.path, 'width.onnx');
      await writeModel(narrow.clone(), file);
      const profile = await profileModel(file, feeds, session);
      const times = layerTimes(profile, [...costs.keys()]);
      let others = profile.ms;
      for (const [name, ms] of times) {
        layers[name] = [...(layers[name] ?? []), [costs.get(name) ?? 0, ms]];
        others -= ms;
      }
      rest.push([total(costs), Math.max(0, others)]);
      step.advance();
    }
  } finally {
    step.done();
    folder.remove();
  }
  return { kind: KIND, key, layers, rest };
}

/** Multiply-adds by the name of the node. */
function costsOf(model: Model): Map<string, number> {
  const copy = model.clone();
  inferTypes(copy);
  const found = new Map<string, number>();
  for (const node of copy.graph.nodes) {
    const cost = node.name === '' ? undefined : nodeCost(copy, node);
    if (cost === undefined) continue;
    const sizes = new Map(symbolsOf(cost).map((name) => [name, NOMINAL_SIZE]));
    const macs = substitute(cost, sizes);
    if (typeof macs === 'number') found.set(node.name, macs);
  }
  return found;
}

function total(costs: ReadonlyMap<string, number>): number {
  let sum = 0;
  for (const macs of costs.values()) sum += macs;
  return sum;
}

function timeAt(points: readonly Point[], macs: number): number {
  const sorted = [...points].sort(([a], [b]) => a - b);
  const above = sorted.find(([x]) => x >= macs);
  const below = sorted.findLast(([x]) => x <= macs);
  if (!above) return below?.[1] ?? 0;
  if (!below) return above[0] > 0 ? (above[1] * macs) / above[0] : above[1];
  if (above[0] === below[0]) return below[1];
  return below[1] + ((above[1] - below[1]) * (macs - below[0])) / (above[0] - below[0]);
}

function keyOf(model: Model, { feeds, session }: SpeedInput, { settings }: TableOptions): string {
  const { cpu, gpus } = describeHardware();
  const facts = {
    shapes: [...feeds].map(([name, { dtype, shape }]) => [name, dtype, shape]),
    session,
    settings,
    cpu,
    gpus,
  };
  return createHash('sha256')
    .update(printModel(model, { names: true, maxElements: 8 }))
    .update(JSON.stringify(facts))
    .digest('hex')
    .slice(0, 32);
}

function cacheFolder(): string {
  const base = process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache');
  return join(base, 'xform', 'latency');
}

/** A file that cannot be read is one that has to be made. */
function read(path: string): TableFile | undefined {
  try {
    const found = JSON.parse(readFileSync(path, 'utf8')) as Partial<TableFile>;
    return found.kind === KIND ? (found as TableFile) : undefined;
  } catch {
    return undefined;
  }
}

function write(path: string, table: TableFile): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.part`, `${JSON.stringify(table)}\n`);
  renameSync(`${path}.part`, path);
}
