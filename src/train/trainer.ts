// The training run: chunks of steps, the next one's data prepared while one computes, and between them
// what has to happen at certain steps: validation, checkpoints, the end. How many steps a chunk has
// depends on how long they take; what is computed does not.

import { lossNotFinite } from '../errors/train.ts';
import type { Feeds } from '../tensor/feeds.ts';
import { Tensor } from '../tensor/tensor.ts';
import { type Clock, stepInputs } from './clock.ts';
import { NEXT, STEPS } from './loop.ts';
import type { TrainingGraph } from './plan.ts';

export type State = ReadonlyMap<string, Tensor>;

/** Where a run stands, beside its tensors. */
export interface Position {
  /** Steps that are done. */
  readonly step: number;
  /** What validation has done to the rate (plateau). */
  readonly rateFactor: number;
  /** Best value of what validation watches, and evaluations since. */
  readonly best?: number | undefined;
  readonly waited: number;
}

export const START: Position = { step: 0, rateFactor: 1, waited: 0 };

export interface Progress {
  readonly step: number;
  /** Means over the steps of the chunk. */
  readonly means: ReadonlyMap<string, number>;
  readonly rate: number;
  readonly stepsPerSecond: number;
  /** Share of the time that was not spent in the runtime. */
  readonly overhead: number;
  /** Steps of the chunk whose gradients were not finite, and that changed nothing. */
  readonly skipped: number;
}

/** What a validation says about going on. */
export interface Verdict {
  readonly position: Partial<Position>;
  readonly stop: boolean;
}

export interface TrainerPlan extends Clock {
  readonly steps: number;
  readonly stepsPerEpoch: number;
  /** Steps after which something has to happen: every so many. */
  readonly evaluateEvery: number;
  readonly checkpointEvery: number;
  /** The step before which the context chooses what is pruned. */
  readonly chooseAt?: number | undefined;
}

export interface TrainerContext {
  /** Feeds that are `consumed` are not read again. */
  run(feeds: Feeds, consumed?: ReadonlySet<string>): Promise<Map<string, Tensor>>;
  /** Stacked data of the steps from `step` on, targets included. */
  feed(step: number, count: number): Promise<Feeds>;
  evaluate?(state: State, position: Position): Promise<Verdict>;
  save?(state: State, position: Position): Promise<void>;
  /** The state with the choice of what is pruned in it. */
  choose?(state: State): Promise<State>;
  report?(progress: Progress): void;
  /** The name of the first tensor that is not finite with the data of a step. */
  diagnose?(state: State, step: number): Promise<string | undefined>;
  isStopped?(): boolean;
}

export interface Trained {
  readonly state: State;
  readonly position: Position;
  readonly isStopped: boolean;
}

/** A chunk is to take about so long: long enough to make its overhead small, short enough to watch. */
const CHUNK_MS = 700;
/** Memory of this size comes from the heap of the C library, larger ones from fresh pages, which cost more. */
const CHUNK_BYTES = 24 << 20;
const MOST_STEPS = 512;

/** Trains from `state` at `position` to the end, or until stopped. */
export async function train(
  plan: TrainerPlan,
  context: TrainerContext,
  state: State,
  position: Position = START,
): Promise<Trained> {
  const run = new Run(plan, context, state, position);
  return run.toEnd();
}

/** The state that a graph starts from. */
export function initialState({ state }: TrainingGraph): Map<string, Tensor> {
  return new Map(state.map(({ name, initial }) => [name, initial]));
}

/** The state that a run of the graph ends with. */
export function nextState({ state }: TrainingGraph, results: Feeds): State {
  return new Map(state.map(({ name }) => [name, results.get(`${NEXT}${name}`) as Tensor]));
}

class Run {
  readonly #plan: TrainerPlan;
  readonly #context: TrainerContext;
  #state: State;
  #position: Position;
  #size = 1;
  #next: { readonly step: number; readonly count: number; feeds: Promise<Feeds> } | undefined;

  constructor(plan: TrainerPlan, context: TrainerContext, state: State, position: Position) {
    this.#plan = plan;
    this.#context = context;
    this.#state = state;
    this.#position = position;
  }

  async toEnd(): Promise<Trained> {
    let isStopped = false;
    while (this.#position.step < this.#plan.steps && !isStopped) {
      if (this.#context.choose && this.#position.step === this.#plan.chooseAt) {
        this.#state = await this.#context.choose(this.#state);
      }
      await this.#chunk();
      const stop = await this.#between();
      isStopped = this.#context.isStopped?.() ?? false;
      if (isStopped) await this.#context.save?.(this.#state, this.#position);
      if (stop) break;
    }
    // What was prepared for a chunk that does not come must not reject unheard.
    await this.#next?.feeds.catch(() => {});
    return { state: this.#state, position: this.#position, isStopped };
  }

  /** Steps until something has to happen. */
  #room(step: number): number {
    const { steps, stepsPerEpoch, evaluateEvery, checkpointEvery, chooseAt = 0 } = this.#plan;
    const borders = [stepsPerEpoch, evaluateEvery, checkpointEvery].map((n) => n - (step % n));
    if (step < chooseAt) borders.push(chooseAt - step);
    return Math.min(steps - step, ...borders);
  }

  async #chunk(): Promise<void> {
    const { step } = this.#position;
    const chunk = this.#next?.step === step ? this.#next : this.#prepare(step);
    const started = performance.now();
    const data = await chunk.feeds;
    const { rateFactor } = this.#position;
    const rate = (update: number) => this.#plan.rate(update) * rateFactor;
    const told = stepInputs({ ...this.#plan, rate }, step, chunk.count);
    const feeds = new Map([...data, ...this.#state, ...told]);
    feeds.set(STEPS, Tensor.scalar('int64', chunk.count));
    const ran = performance.now();
    const running = this.#context.run(feeds, new Set(data.keys()));
    // Prepared meanwhile.
    const after = step + chunk.count;
    this.#next = after < this.#plan.steps ? this.#prepare(after) : undefined;
    const results = await running;
    const ms = performance.now() - ran;
    this.#state = nextState(this.#plan.graph, results);
    await this.#report(results, step, chunk.count, ms, performance.now() - started - ms);
    this.#position = { ...this.#position, step: after };
    this.#resize(ms / chunk.count);
  }

  #prepare(step: number) {
    const count = Math.min(this.#size, this.#room(step));
    const feeds = this.#context.feed(step, count);
    feeds.catch(() => {});
    return { step, count, feeds };
  }

  #resize(stepMs: number): void {
    const bytes = this.#plan.graph.data.reduce(
      (sum, { shape, dtype }) =>
        sum + shape.reduce((a, b) => a * b, 1) * (dtype === 'int64' ? 8 : 4),
      1,
    );
    const most = Math.max(1, Math.min(MOST_STEPS, Math.floor(CHUNK_BYTES / bytes)));
    this.#size = Math.max(1, Math.min(most, Math.round(CHUNK_MS / stepMs), this.#size * 8));
  }

  async #report(
    results: ReadonlyMap<string, Tensor>,
    step: number,
    count: number,
    ms: number,
    outside: number,
  ): Promise<void> {
    const { reports } = this.#plan.graph;
    const stacked = (name: string) =>
      results.get(reports.get(name) ?? '')?.values() as Float32Array | undefined;
    const losses = stacked('loss') ?? new Float32Array(0);
    const broken = losses.findIndex((loss) => !Number.isFinite(loss));
    if (broken >= 0) {
      const tensor = await this.#context.diagnose?.(this.#state, step + broken);
      throw lossNotFinite(step + broken + 1, tensor);
    }
    const norms = stacked('gradient_norm') ?? new Float32Array(0);
    const means = new Map<string, number>();
    for (const name of reports.keys()) {
      if (name.endsWith('#count')) continue;
      const sums = stacked(name);
      const counts = stacked(`${name}#count`);
      if (sums)
        means.set(
          name,
          counts ? total(sums) / Math.max(1e-12, total(counts)) : total(sums) / count,
        );
    }
    this.#context.report?.({
      step: step + count,
      means,
      rate:
        this.#plan.rate(Math.floor((step + count - 1) / this.#plan.accumulate)) *
        this.#position.rateFactor,
      stepsPerSecond: (1000 * count) / (ms + outside),
      overhead: outside / (ms + outside),
      skipped: norms.filter((norm) => !Number.isFinite(norm)).length,
    });
  }

  async #between(): Promise<boolean> {
    const { step } = this.#position;
    const { evaluateEvery, checkpointEvery, steps } = this.#plan;
    let stop = false;
    if (this.#context.evaluate && (step % evaluateEvery === 0 || step === steps)) {
      const verdict = await this.#context.evaluate(this.#state, this.#position);
      this.#position = { ...this.#position, ...verdict.position };
      stop = verdict.stop;
    }
    const isDue = step % checkpointEvery === 0 || step === steps;
    if (isDue || stop) await this.#context.save?.(this.#state, this.#position);
    return stop;
  }
}

function total(values: Float32Array): number {
  return values.reduce((sum, value) => sum + value, 0);
}
