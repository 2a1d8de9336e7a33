// What `prune` shows: sizes, costs, how close and how fast the result is, what became of each part,
// and what stayed whole, with the operator that stopped it.

import { printShape } from '../../graph/index.ts';
import type { Frozen } from '../../passes/prune/group.ts';
import {
  type Block,
  formatBytes,
  formatCount,
  type ModelSummary,
  type Table,
} from '../../report/report.ts';
import { type Judge, type Quality, qualityMetrics } from '../judge.ts';
import { PACKERS } from '../packed-size.ts';
import type { PartOutcome } from './plan.ts';
import type { PruneResult } from './run.ts';
import type { Sensitivity } from './tune.ts';

export interface Findings extends PruneResult {
  readonly before: ModelSummary;
  readonly after: ModelSummary;
  readonly judge?: Judge | undefined;
  readonly notes?: readonly Block[] | undefined;
}

const SHOWN_PARTS = 40;
const SHOWN_REASONS = 12;

export function pruneBlocks(found: Findings): Block[] {
  const { after, pruned, notes } = found;
  const cut = pruned.parts.filter((part) => part.after < part.before);
  const kept = pruned.parts.filter((part) => part.after === part.before);
  const blocks: Block[] = [comparison(found)];
  if (pruned.training) blocks.push({ text: `Trained after each step: ${pruned.training}.` });
  for (const line of pruned.repair ?? []) blocks.push({ text: `Repaired by ${line}.` });
  if (found.packed) {
    blocks.push({
      text: 'Tensors keep their shapes: the file shrinks when it is packed, runs take as long as before.',
    });
  }
  if (cut.length > 0) blocks.push(parts(cut));
  if (kept.length > 0) blocks.push(reasons(kept));
  if (pruned.frozen.length > 0) blocks.push(frozenTable(pruned.frozen));
  if (found.scan) blocks.push(sensitivities(found.scan));
  const place = after.path === '-' ? 'standard output' : after.path;
  return [...blocks, ...(notes ?? []), { text: `Written to ${place}.` }];
}

const right = (name: string) => ({ name, align: 'right' as const });

function comparison(found: Findings): Table {
  const { before, after, costs, packed, judge, quality, speed } = found;
  const { params, flops } = costs;
  const rows: (string | number)[][] = [
    ['size', formatBytes(before.bytes), formatBytes(after.bytes), ratio(after.bytes, before.bytes)],
    ['parameters', ...params.map(formatCount), ratio(params[1], params[0])],
    ['nodes', before.nodes, after.nodes, ''],
  ];
  for (const [packer, all, left] of packings(packed)) {
    rows.push([`weights, ${packer}`, formatBytes(all), formatBytes(left), ratio(left, all)]);
  }
  if (flops.every(Number.isFinite)) {
    rows.push(['multiply-adds', ...flops.map(formatCount), ratio(flops[1], flops[0])]);
  }
  if (speed) {
    const { reference, contender, comparison: times } = speed;
    const verdict = `${(1 / times.ratio).toFixed(2)}x the speed (${times.verdict})`;
    rows.push(['median run', ms(reference.p50), ms(contender.p50), verdict]);
  }
  if (judge && quality) rows.push(...qualityRows(judge, quality));
  return { columns: [{ name: '' }, right('before'), right('after'), { name: '' }], rows };
}

function packings(packed: Findings['packed']): [packer: string, before: number, after: number][] {
  if (!packed) return [];
  const [before, after] = packed;
  return PACKERS.map((packer) => [packer, before[packer], after[packer]]);
}

function qualityRows(judge: Judge, quality: Quality): string[][] {
  const rows: string[][] = [];
  if (judge.metric === 'accuracy') {
    const drop = percent(quality.score - judge.reference);
    rows.push(['accuracy', percent(judge.reference), percent(quality.score), drop]);
  }
  const off = `off by ${quality.maxAbsError.toPrecision(3)} at most`;
  rows.push(['agreement', '', percent(quality.agreement), `${quality.samples} samples`]);
  rows.push(['cosine', '', quality.cosine.toFixed(6), off]);
  return rows;
}

const ms = (value: number) => `${value.toPrecision(3)} ms`;
const percent = (value: number) => `${(100 * value).toFixed(2)}%`;
const ratio = (a: number, b: number) => (b > 0 ? `${(a / b).toFixed(3)} of it` : '');

function parts(cut: readonly PartOutcome[]): Table {
  const shown = cut.slice(0, SHOWN_PARTS);
  const rest = cut.length - shown.length;
  const rows: (string | number)[][] = shown.map(({ part, kind, before, after }) => [
    part,
    kind,
    before,
    after,
    percent(1 - after / before),
  ]);
  if (rest > 0) rows.push([`and ${rest} more (--json has all)`, '', '', '', '']);
  const columns = [
    { name: 'group' },
    { name: 'of' },
    right('before'),
    right('after'),
    right('gone'),
  ];
  return { title: 'What was cut', columns, rows };
}

const BAR = 20;

/** What each group loses by itself, the dearest first, drawn to the largest. */
function sensitivities(scan: readonly Sensitivity[]): Table {
  const loss = ({ curve }: Sensitivity, amount: number) =>
    curve.find(([one]) => one === amount)?.[1] ?? 0;
  const sorted = [...scan].sort((a, b) => loss(b, 0.5) - loss(a, 0.5));
  const most = Math.max(1e-12, ...scan.map((one) => loss(one, 0.5)));
  const at = [0.25, 0.5, 0.75];
  return {
    title: 'What each group loses of the likeness to the original, pruned alone',
    columns: [{ name: 'group' }, ...at.map((one) => right(percent(one))), { name: 'at 50%' }],
    rows: sorted.map((one) => [
      one.group,
      ...at.map((amount) => percent(loss(one, amount))),
      '█'.repeat(Math.round((BAR * loss(one, 0.5)) / most)),
    ]),
  };
}

/** Equal reasons together. */
function reasons(kept: readonly PartOutcome[]): Table {
  const byReason = grouped(kept, ({ kind, reason }) => `${kind} ${reason}`);
  return {
    title: 'What stayed as it was',
    columns: [{ name: 'groups' }, { name: 'of' }, { name: 'why' }],
    rows: byReason
      .slice(0, SHOWN_PARTS)
      .map((list) => [
        names(list.map(({ part }) => part)),
        list[0]?.kind ?? '',
        list[0]?.reason ?? '',
      ]),
  };
}

function frozenTable(frozen: readonly Frozen[]): Table {
  const byReason = grouped(frozen, ({ reason, node }) => `${node?.op} ${reason}`);
  const shown = byReason.slice(0, SHOWN_REASONS);
  const rows = shown.map((list) => [
    names(
      list.map(({ weight, axis }) => `${weight.name} ${printShape(weight.shape)} axis ${axis}`),
    ),
    list[0]?.node?.describe() ?? '',
    list[0]?.reason ?? '',
  ]);
  const rest = byReason.length - shown.length;
  if (rest > 0) rows.push([`and ${rest} more reasons (--json has all)`, '', '']);
  return {
    title: 'Axes of weights that cannot be cut',
    columns: [{ name: 'weights' }, { name: 'stopped by' }, { name: 'why' }],
    rows,
  };
}

function grouped<T>(list: readonly T[], keyOf: (item: T) => string): T[][] {
  const groups = new Map<string, T[]>();
  for (const item of list) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return [...groups.values()].sort((a, b) => b.length - a.length);
}

function names(list: readonly string[]): string {
  const rest = list.length - 1;
  return `${list[0] ?? ''}${rest > 0 ? ` and ${rest} more` : ''}`;
}

/** One object per group, then one per axis that is held. */
export function pruneSteps({ pruned }: PruneResult): object[] {
  const cut = pruned.parts.map(({ part, kind, before, after, reason }) => ({
    group: part,
    kind,
    before,
    after,
    ...(reason ? { reason } : {}),
  }));
  const frozen = pruned.frozen.map(({ weight, axis, reason, node }) => ({
    frozen: weight.name,
    axis,
    reason,
    ...(node ? { stopped_by: node.describe() } : {}),
  }));
  return [...cut, ...frozen];
}

/** The figures of the report; units are in the names. */
export function pruneMetrics(found: Findings): object {
  const { before, after, costs, judge, quality, speed, pruned } = found;
  const cut = pruned.parts.filter((part) => part.after < part.before);
  return {
    amount: pruned.amount,
    groups: { cut: cut.length, whole: pruned.parts.length - cut.length },
    ...(pruned.repair ? { repair: pruned.repair } : {}),
    ...(pruned.training ? { training: pruned.training } : {}),
    size_ratio: before.bytes > 0 ? after.bytes / before.bytes : undefined,
    params: { before: costs.params[0], after: costs.params[1] },
    params_ratio: costs.params[1] / costs.params[0],
    multiply_adds: { before: costs.flops[0], after: costs.flops[1] },
    flops_ratio: costs.flops[1] / costs.flops[0],
    weight_bytes: { before: costs.bytes[0], after: costs.bytes[1] },
    bytes_ratio: costs.bytes[1] / costs.bytes[0],
    ...Object.fromEntries(
      packings(found.packed).flatMap(([packer, before, after]) => [
        [`${packer}_bytes`, { before, after }],
        [`${packer}_ratio`, after / before],
      ]),
    ),
    ...(found.scan ? { sensitivity: found.scan } : {}),
    ...(judge && quality ? qualityMetrics(judge, quality) : {}),
    ...(speed
      ? {
          latency_ms: { p50: speed.contender.p50, p50_before: speed.reference.p50 },
          latency_ratio: speed.comparison.ratio,
          verdict: speed.comparison.verdict,
        }
      : {}),
  };
}
