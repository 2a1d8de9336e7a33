// How a run goes, for people (a progress line), for programs (JSON lines) and for TensorBoard.

import { appendFileSync, writeFileSync } from 'node:fs';
import type { Reporter } from '../../report/reporter.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { RateRange } from '../../train/rate-range.ts';
import type { Progress } from '../../train/trainer.ts';
import type { Evaluation, RunFacts, TrainRequest } from './request.ts';
import { EventFile } from './tensorboard.ts';

export interface TrainLogOptions {
  readonly reporter: Reporter;
  readonly log?: string | undefined;
  readonly tensorboard?: string | undefined;
  readonly histograms?: boolean | undefined;
}

const LINE_MS = 1000;

export class TrainLog {
  readonly #options: TrainLogOptions;
  readonly #events: EventFile | undefined;
  #facts: RunFacts | undefined;
  #lastLine = 0;
  #started = 0;
  /** The last chunk, and the sums over all. */
  last: Progress | undefined;
  seconds = 0;
  skipped = 0;
  readonly history: { readonly step: number; readonly loss: number }[] = [];

  constructor(options: TrainLogOptions) {
    this.#options = options;
    if (options.log) writeFileSync(options.log, '');
    this.#events = options.tensorboard ? new EventFile(options.tensorboard) : undefined;
  }

  get facts(): RunFacts | undefined {
    return this.#facts;
  }

  start(facts: RunFacts): void {
    this.#facts = facts;
    this.#started = performance.now();
    const { reporter } = this.#options;
    const { trained, fixed, steps, stepsPerEpoch, nodes, firstStep } = facts;
    if (facts.rateRange) reporter.info(rateLine(facts.rateRange));
    const resumed = firstStep > 0 ? `, from step ${firstStep}` : '';
    reporter.info(
      `training ${trained.length} tensors for ${steps} steps (${stepsPerEpoch} an epoch)${resumed}`,
    );
    reporter.detail(`${nodes} nodes; built in ${facts.buildMs.toFixed(0)} ms`);
    for (const [name, why] of fixed) reporter.detail(`not trained: "${name}": ${why}`);
    const pairs = facts.matched.map(({ student, teacher }) => `${student}=${teacher}`);
    if (pairs.length > 0) reporter.info(`compared: ${pairs.join(', ')}`);
    this.#line({ event: 'start', steps, steps_per_epoch: stepsPerEpoch, first_step: firstStep });
  }

  progress(progress: Progress): void {
    const { step, means, rate, stepsPerSecond, skipped } = progress;
    this.last = progress;
    this.skipped += skipped;
    this.seconds = (performance.now() - this.#started) / 1000;
    this.history.push({ step, loss: means.get('loss') ?? Number.NaN });
    this.#line({
      event: 'train',
      step,
      ...Object.fromEntries(means),
      rate,
      steps_per_s: stepsPerSecond,
      samples_per_s: stepsPerSecond * (this.#facts?.samples ?? 0),
      overhead: progress.overhead,
      skipped,
    });
    for (const [name, value] of means) this.#events?.scalar(`train/${name}`, step, value);
    this.#events?.scalar('train/rate', step, rate);
    this.#print(progress);
  }

  evaluation({ step, metrics }: Evaluation): void {
    this.#line({ event: 'validation', step, ...Object.fromEntries(metrics) });
    for (const [name, value] of metrics) this.#events?.scalar(`validation/${name}`, step, value);
    this.#options.reporter.info(`step ${step}: validation ${words(metrics)}`);
  }

  /** Set where weights are to be seen as histograms. */
  get weights(): TrainRequest['onWeights'] {
    const events = this.#options.histograms ? this.#events : undefined;
    return events && ((step, weights) => writeHistograms(events, step, weights));
  }

  close(): void {
    this.#events?.close();
  }

  #print(progress: Progress): void {
    const { step, means, rate, stepsPerSecond } = progress;
    const steps = this.#facts?.steps ?? step;
    const now = performance.now();
    if (now - this.#lastLine < LINE_MS && step < steps) return;
    this.#lastLine = now;
    const left = (steps - step) / stepsPerSecond;
    this.#options.reporter.status(
      `step ${step}/${steps}: ${words(means)}, rate ${rate.toPrecision(3)}, ` +
        `${speedOf(progress, this.#facts)}, ${duration(left)} left`,
    );
  }

  #line(facts: object): void {
    const { log } = this.#options;
    if (log) appendFileSync(log, `${JSON.stringify(facts)}\n`);
  }
}

export function speedOf(progress: Progress | undefined, facts: RunFacts | undefined): string {
  const { stepsPerSecond = 0 } = progress ?? {};
  return `${(stepsPerSecond * (facts?.samples ?? 0)).toPrecision(3)} samples/s`;
}

function writeHistograms(
  events: EventFile,
  step: number,
  weights: ReadonlyMap<string, Tensor>,
): void {
  for (const [name, tensor] of weights) {
    events.histogram(`weights/${name}`, step, tensor.values() as Float32Array);
  }
}

function rateLine({ chosen, rule, steepest, lowest, grows, curve }: RateRange): string {
  const digits = (rate: number) => rate.toPrecision(2);
  const why =
    rule === 'fall'
      ? `the loss falls fastest at ${digits(steepest)} and is lowest at ${digits(lowest)}`
      : `the loss does not fall, and grows from ${digits(grows)} on`;
  return `rate ${digits(chosen)} from a test of ${curve.length} updates: ${why}`;
}

function words(means: ReadonlyMap<string, number>): string {
  const shown = [...means].filter(([name]) => name !== 'gradient_norm');
  return shown.map(([name, value]) => `${name} ${value.toPrecision(4)}`).join(', ');
}

function duration(seconds: number): string {
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  return seconds < 3600
    ? `${Math.floor(seconds / 60)} min ${Math.ceil(seconds % 60)} s`
    : `${(seconds / 3600).toFixed(1)} h`;
}
