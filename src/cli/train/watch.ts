// Watches validation: what was best, whether to go on, when the rate has to fall.

import type { Tensor } from '../../tensor/tensor.ts';
import type { Position, State, Verdict } from '../../train/trainer.ts';
import type { Evaluation } from './request.ts';

interface WatchOptions {
  readonly patience?: number | undefined;
  readonly keep: 'last' | 'best';
  readonly optimization: { readonly schedule: string };
  onEvaluation?(evaluation: Evaluation): void;
}

/** By how much `plateau` lowers the rate, and how often before the run ends. */
const FALL = 0.1;
const FALLS = 3;
const PLATEAU_PATIENCE = 3;

export class Watch {
  readonly evaluations: Evaluation[] = [];
  best: State | undefined;
  readonly #options: WatchOptions;
  readonly #settled: number;
  readonly #judge: ((state: State) => Promise<Map<string, number>>) | undefined;

  /** `settled`: the step from which on weights are comparable: all that is pruned is zero. */
  constructor(
    options: WatchOptions,
    judge: ((state: State) => Promise<Map<string, number>>) | undefined,
    settled = 0,
  ) {
    this.#options = options;
    this.#settled = settled;
    this.#judge = judge;
  }

  async evaluate(state: State, position: Position): Promise<Verdict> {
    if (!this.#judge) return { position: {}, stop: false };
    const metrics = await this.#judge(state);
    const evaluation = { step: position.step, metrics };
    this.evaluations.push(evaluation);
    this.#options.onEvaluation?.(evaluation);
    if (position.step < this.#settled) return { position: {}, stop: false };
    const score = scoreOf(metrics);
    if (position.best === undefined || score > position.best) {
      if (this.#options.keep === 'best') this.best = state;
      return { position: { best: score, waited: 0 }, stop: false };
    }
    return this.#waited(position);
  }

  #waited(position: Position): Verdict {
    const waited = position.waited + 1;
    const { patience, optimization } = this.#options;
    if (optimization.schedule === 'plateau') {
      if (waited < (patience ?? PLATEAU_PATIENCE)) return { position: { waited }, stop: false };
      const rateFactor = position.rateFactor * FALL;
      return { position: { waited: 0, rateFactor }, stop: rateFactor < FALL ** FALLS };
    }
    return { position: { waited }, stop: patience !== undefined && waited >= patience };
  }

  /** For the checkpoint. */
  facts(): unknown {
    return this.evaluations.map(({ step, metrics }) => ({ step, metrics: [...metrics] }));
  }

  restore(facts: unknown, state: ReadonlyMap<string, Tensor>): void {
    for (const { step, metrics } of facts as { step: number; metrics: [string, number][] }[]) {
      this.evaluations.push({ step, metrics: new Map(metrics) });
    }
    const best = [...state].filter(([name]) => name.startsWith('best/'));
    if (best.length > 0) this.best = new Map(best.map(([name, t]) => [name.slice(5), t]));
  }
}

/** Higher is better: accuracy where there is one, else the loss turned round. */
function scoreOf(metrics: ReadonlyMap<string, number>): number {
  return metrics.get('accuracy') ?? -(metrics.get('loss') ?? Number.POSITIVE_INFINITY);
}
