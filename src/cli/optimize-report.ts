// What `optimize` shows: which passes, what they did, before and after.

import { unknownName } from '../errors/usage.ts';
import type { Model } from '../graph/index.ts';
import type { Level, Pass } from '../passes/pass.ts';
import type { RunResult } from '../passes/run.ts';
import {
  type Block,
  formatBytes,
  formatCount,
  type ModelSummary,
  type Table,
  type Warning,
} from '../report/report.ts';

export interface PassChoice {
  readonly level: Level;
  readonly passes?: string | undefined;
  readonly 'skip-pass'?: readonly string[] | undefined;
}

/** The passes to apply, in their order; those named explicitly whatever their level and cost. */
export function choosePasses(all: readonly Pass[], choice: PassChoice): Pass[] {
  const names = [...new Set(all.map((pass) => pass.name))];
  const split = (text: string) =>
    text
      .split(',')
      .map((name) => name.trim())
      .filter(Boolean);
  const known = (list: readonly string[]) => {
    for (const name of list) if (!names.includes(name)) throw unknownName('pass', name, names);
    return new Set(list);
  };
  const only = choice.passes === undefined ? undefined : known(split(choice.passes));
  const without = known((choice['skip-pass'] ?? []).flatMap(split));
  return all.filter((pass) => {
    const allowed = only
      ? only.has(pass.name)
      : !pass.onDemand && (choice.level === 'extended' || pass.level === 'basic');
    return allowed && !without.has(pass.name);
  });
}

/** Weights that could be fed before, and are constants now. */
export function fixedWeights(before: Model, after: Model): Warning[] {
  const left = new Set(after.graph.inputs.map((value) => value.name));
  const fixed = before.graph.inputs.filter((value) => value.data && !left.has(value.name));
  // Until IR 3 they had to be listed, but nobody could feed them.
  if (fixed.length === 0 || before.irVersion < 4) return [];
  const names = fixed.slice(0, 3).map((value) => `"${value.name}"`);
  const list = `${names.join(', ')}${fixed.length > names.length ? ' …' : ''}`;
  const message = `${fixed.length} weights were graph inputs, too, and are constants now: ${list}`;
  return [{ code: 'weights-fixed', message }];
}

export function passTable(passes: readonly Pass[]): Table {
  return {
    title: 'Passes in their order',
    columns: [{ name: 'pass' }, { name: 'level' }, { name: 'what it does' }],
    rows: [...new Set(passes)].map((pass) => [
      pass.name,
      pass.onDemand ? `${pass.level}, only when named` : pass.level,
      pass.summary,
    ]),
  };
}

export function optimizeBlocks(
  before: ModelSummary,
  after: ModelSummary,
  result: RunResult,
  checked: boolean,
): Block[] {
  const row = (name: string, a: string | number, b: string | number) => [name, a, b];
  const blocks: Block[] = [
    {
      columns: [
        { name: '' },
        { name: 'before', align: 'right' },
        { name: 'after', align: 'right' },
      ],
      rows: [
        row('nodes', before.nodes, after.nodes),
        row('parameters', formatCount(before.parameters), formatCount(after.parameters)),
        row('size', formatBytes(before.bytes), formatBytes(after.bytes)),
        row('opset', before.opset, after.opset),
      ],
    },
  ];
  const totals = new Map<string, { removed: number; seconds: number; times: number }>();
  for (const step of result.steps) {
    if (!step.changed || step.undone) continue;
    const total = totals.get(step.pass) ?? { removed: 0, seconds: 0, times: 0 };
    totals.set(step.pass, {
      removed: total.removed + step.nodes_before - step.nodes_after,
      seconds: total.seconds + step.seconds,
      times: total.times + 1,
    });
  }
  if (totals.size === 0)
    return [...blocks, { text: 'Nothing to do: the model is written as it was.' }];
  return [
    ...blocks,
    {
      title: checked
        ? 'Passes that changed it, each checked'
        : 'Passes that changed it, not checked',
      columns: [
        { name: 'pass' },
        { name: 'rounds', align: 'right' },
        { name: 'nodes less', align: 'right' },
        { name: 'seconds', align: 'right' },
      ],
      rows: [...totals].map(([name, t]) => [name, t.times, t.removed, t.seconds.toFixed(2)]),
    },
    { text: `Written to ${after.path === '-' ? 'standard output' : after.path}.` },
  ];
}
