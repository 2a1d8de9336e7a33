// Runs models that are held in memory: for passes that need numbers (constant folding, checks on the
// spot) and for commands.

import type { Model } from '../graph/index.ts';
import { inferTypes } from '../ops/index.ts';
import type { Runner } from '../passes/pass.ts';
import type { Feeds } from '../tensor/feeds.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { widenBorder } from './border.ts';
import { cutModel } from './cut.ts';
import { handOver } from './hand-over.ts';
import type { SessionOptions } from './options.ts';
import { openSession, type Session } from './session.ts';

/** What makes results comparable: no fusion that trades accuracy for speed. */
export const COMPARABLE: SessionOptions = { optimization: 'basic', exact: true };

/**
 * A runner that makes a session for each call. `want` may name outputs and any value of the main
 * graph; only what they depend on is computed, and only that needs feeds.
 */
export function createRunner(options: SessionOptions = COMPARABLE): Runner {
  return async (model, feeds, want) => {
    const loaded = await loadModel(model, options, want);
    try {
      return await loaded.run(feeds);
    } finally {
      await loaded.dispose();
    }
  };
}

/** A session over a model in memory; inputs and outputs of every tensor type can be handed over. */
export type LoadedModel = Pick<Session, 'run' | 'dispose' | 'outputs' | 'inputs' | 'loadMs'>;

/**
 * Loads a model that is held in memory, or the part of it that computes the values `want`, from values
 * that are `given` where there are any.
 */
export async function loadModel(
  model: Model,
  options: SessionOptions = COMPARABLE,
  want?: readonly string[],
  given?: readonly string[],
): Promise<LoadedModel> {
  const isPart = want && (given || !isAllOutputs(model, want));
  const copy = isPart ? cutModel(model, want, given) : model.clone();
  if (copy.graph.outputs.some((value) => value.type === undefined)) inferTypes(copy);
  const names = copy.graph.outputs.map((value) => value.name);
  const border = widenBorder(copy);
  const { source, release } = await handOver(border.model);
  try {
    const name = model.path;
    const session = await openSession(source, {
      ...options,
      consume: true,
      ...(name ? { name } : {}),
    });
    return new Loaded(session, border, names);
  } finally {
    release();
  }
}

class Loaded implements LoadedModel {
  readonly #session: Session;
  readonly #border: ReturnType<typeof widenBorder>;
  /** Names of the wanted values by the names of the session's outputs. */
  readonly #names: ReadonlyMap<string, string>;

  constructor(session: Session, border: ReturnType<typeof widenBorder>, wanted: readonly string[]) {
    this.#session = session;
    this.#border = border;
    this.#names = new Map(
      border.model.graph.outputs.map((value, i) => [value.name, wanted[i] ?? value.name]),
    );
  }

  get inputs() {
    return this.#session.inputs;
  }

  get outputs() {
    return this.#session.outputs;
  }

  get loadMs() {
    return this.#session.loadMs;
  }

  async run(
    feeds: Feeds,
    want?: readonly string[],
    consumed?: ReadonlySet<string>,
  ): Promise<Map<string, Tensor>> {
    const asked = want && [...this.#names].filter(([, name]) => want.includes(name));
    // Feeds of what the cut left out are welcome, so that one set serves every part of a model.
    const used = new Set(this.#session.inputs.map((port) => port.name));
    const needed = new Map([...feeds].filter(([name]) => used.has(name)));
    const results = await this.#session.run(
      this.#border.inward(needed),
      asked?.map(([own]) => own),
      consumed,
    );
    const renamed = new Map<string, Tensor>();
    for (const [own, tensor] of this.#border.outward(results)) {
      renamed.set(this.#names.get(own) ?? own, tensor);
    }
    return renamed;
  }

  dispose(): Promise<void> {
    return this.#session.dispose();
  }
}

function isAllOutputs(model: Model, want: readonly string[]): boolean {
  const { outputs } = model.graph;
  return want.length === outputs.length && outputs.every((value) => want.includes(value.name));
}

/** Runs graphs as they stand, so that results repeat to the bit: for checks and for constants. */
export function exactRunner(session: SessionOptions = {}): Runner {
  return createRunner({ ...session, ...COMPARABLE, threads: 1, optimization: 'disabled' });
}
