// What `train` shows: how the loss went, what validation says, how fast it was.

import { type Block, formatCount, type Json, type ModelSummary } from '../../report/report.ts';
import type { PartOutcome } from '../prune/plan.ts';
import { speedOf, type TrainLog } from './log.ts';
import type { Qat } from './qat.ts';
import type { Evaluation, TrainResult } from './request.ts';

interface Findings {
  readonly objective: string;
  readonly log: TrainLog;
  readonly result: TrainResult;
  readonly before: ModelSummary;
  readonly after: ModelSummary;
  /** What was cut of the model at the end. */
  readonly cut?: { readonly parts: readonly PartOutcome[] } | undefined;
  readonly qat?: Qat | undefined;
}

const CURVE = 12;

export function trainMetrics({
  objective,
  log,
  result,
  before,
  after,
  cut,
}: Findings): Record<string, Json> {
  const { last, seconds, facts } = log;
  const done = result.position.step - (facts?.firstStep ?? 0);
  const validation = lastOf(result);
  return {
    objective,
    steps: result.position.step,
    total_steps: facts?.steps ?? 0,
    ...Object.fromEntries(last?.means ?? []),
    ...(validation ? { validation: Object.fromEntries(validation.metrics) } : {}),
    ...(result.written ? { written: Object.fromEntries(result.written) } : {}),
    steps_per_s: seconds > 0 ? done / seconds : 0,
    samples_per_s: seconds > 0 ? (done * (facts?.samples ?? 0)) / seconds : 0,
    training_seconds: seconds,
    build_ms: facts?.buildMs ?? 0,
    load_ms: facts?.loadMs ?? 0,
    skipped_steps: log.skipped,
    ...(cut
      ? { pruned: prunedJson(cut.parts), parameters: [before.parameters, after.parameters] }
      : {}),
    trained_tensors: facts?.trained.length ?? 0,
    ...(facts?.rateRange
      ? {
          lr_range: {
            ...facts.rateRange,
            curve: facts.rateRange.curve.map((point) => ({ ...point })),
          },
        }
      : {}),
  };
}

export function trainBlocks(findings: Findings): Block[] {
  const { objective, log, result, before, after, cut, qat } = findings;
  const { last, facts, seconds } = log;
  const validation = lastOf(result);
  const shown = (metrics: ReadonlyMap<string, number> | undefined) =>
    [...(metrics ?? [])].map(([name, value]) => `${name} ${value.toPrecision(4)}`).join(', ');
  const state = result.isStopped ? ' (stopped: go on with --resume)' : '';
  return [
    {
      facts: [
        ['trained', `${facts?.trained.length ?? 0} tensors, ${objective}`],
        ...(qat ? quantisedFacts(qat) : halfFacts(result.decisions)),
        ['steps', `${result.position.step} of ${facts?.steps ?? 0}${state}`],
        ['last loss', shown(last?.means)],
        ...(validation ? [['validation', shown(validation.metrics)] as const] : []),
        ...(result.written ? [['as written', shown(result.written)] as const] : []),
        ['time', `${seconds.toFixed(1)} s, ${speedOf(last, facts)}`],
        ['written', after.path],
      ],
    },
    ...(cut ? [cutTable(cut.parts, before, after)] : []),
    ...curve(result.evaluations),
  ];
}

function prunedJson(parts: readonly PartOutcome[]): Json {
  return parts.map(({ part, kind, before, after }) => ({ group: part, kind, before, after }));
}

function cutTable(parts: readonly PartOutcome[], before: ModelSummary, after: ModelSummary): Block {
  const [from, to] = [before, after].map(({ parameters }) => formatCount(parameters));
  return {
    title: `Cut: ${from} parameters, now ${to}`,
    columns: [
      { name: 'group' },
      { name: 'kind' },
      { name: 'before', align: 'right' },
      { name: 'after', align: 'right' },
    ],
    rows: parts.map(({ part, kind, before, after }) => [part, kind, before, after]),
  };
}

/** How many layers are quantised, and why others are not. */
function quantisedFacts({ type, decisions }: Qat): (readonly [string, string])[] {
  const left = decisions.filter(({ precision }) => precision === 'float');
  const layers = `${decisions.length - left.length} of ${decisions.length} layers to ${type}`;
  const unpacked =
    type === 'int4' ? '; onnxruntime unpacks them: the file is smaller, runs are not faster' : '';
  const reasons = new Set(left.map(({ op, reason }) => `${op}: ${reason}`));
  const facts = [['quantised', `${layers}${unpacked}`] as const];
  return reasons.size > 0 ? [...facts, ['left float', [...reasons].join('; ')]] : facts;
}

/** How many layers compute in half precision, and why others do not. */
function halfFacts(decisions: TrainResult['decisions']): (readonly [string, string])[] {
  if (decisions.length === 0) return [];
  const left = decisions.filter(({ precision }) => precision === 'float');
  const reasons = new Set(left.map(({ op, reason }) => `${op}: ${reason}`));
  const count = `${decisions.length - left.length} of ${decisions.length} layers`;
  return [['in half precision', [count, ...reasons].join('; ')]];
}

function lastOf({ evaluations }: TrainResult): Evaluation | undefined {
  return evaluations.at(-1);
}

/** Validations over time, a dozen at most. */
function curve(evaluations: readonly Evaluation[]): Block[] {
  if (evaluations.length < 2) return [];
  const every = Math.ceil(evaluations.length / CURVE);
  const rows = evaluations.filter((_, i) => i % every === 0 || i === evaluations.length - 1);
  const names = [...(rows[0]?.metrics.keys() ?? [])];
  return [
    {
      title: 'Validation',
      columns: [
        { name: 'step', align: 'right' },
        ...names.map((name) => ({ name, align: 'right' as const })),
      ],
      rows: rows.map(({ step, metrics }) => [
        step,
        ...names.map((name) => (metrics.get(name) ?? Number.NaN).toPrecision(4)),
      ]),
    },
  ];
}
