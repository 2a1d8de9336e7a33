// Validation: the state of a run judged on data that it does not see.

import type { LoadedModel } from '../../runtime/runner.ts';
import type { Feeds } from '../../tensor/feeds.ts';
import { Tensor } from '../../tensor/tensor.ts';
import type { EvaluationGraph } from '../../train/evaluation.ts';
import type { Feeder } from '../../train/feeder.ts';
import { STEPS } from '../../train/loop.ts';
import type { TrainingGraph } from '../../train/plan.ts';
import type { State } from '../../train/trainer.ts';
import { stateWeights } from './checkpoint.ts';

export interface ValidationParts {
  readonly graph: EvaluationGraph;
  readonly training: TrainingGraph;
  readonly session: LoadedModel;
  readonly feeder: Feeder;
  /** Samples, those of a batch, and rows of a batch (two views make twice as many). */
  readonly length: number;
  readonly samples: number;
  readonly batch: number;
}

const CHUNK_BYTES = 32 << 20;

export class Validation {
  readonly #parts: ValidationParts;

  constructor(parts: ValidationParts) {
    this.#parts = parts;
  }

  /** Loss and metrics, each the mean over all samples. */
  async judge(state: State): Promise<Map<string, number>> {
    const { graph, training, length, samples, batch, feeder, session } = this.#parts;
    const weights = stateWeights(training, state);
    const fixed: Feeds = new Map(graph.weights.map((name) => [name, weights.get(name) as Tensor]));
    const sums = new Map<string, number>();
    const batches = Math.ceil(length / samples);
    const size = this.#chunk();
    for (let at = 0; at < batches; at += size) {
      const count = Math.min(size, batches - at);
      const data = await feeder.evaluation(length, batch, at, count);
      const feeds = new Map([...data, ...fixed]);
      feeds.set(STEPS, Tensor.scalar('int64', count));
      const results = await session.run(feeds);
      for (const [name, output] of graph.reports) {
        const values = results.get(output)?.values() as Float32Array;
        sums.set(
          name,
          values.reduce((sum, value) => sum + value, sums.get(name) ?? 0),
        );
      }
    }
    const names = [...sums.keys()].filter((name) => !name.endsWith('#count'));
    return new Map(
      names.map((name) => [name, (sums.get(name) ?? 0) / (sums.get(`${name}#count`) || 1)]),
    );
  }

  dispose(): Promise<void> {
    return this.#parts.session.dispose();
  }

  #chunk(): number {
    const bytes = this.#parts.graph.data.reduce(
      (sum, { shape }) => sum + 8 * shape.reduce((a, b) => a * b, 1),
      1,
    );
    return Math.max(1, Math.floor(CHUNK_BYTES / bytes));
  }
}
