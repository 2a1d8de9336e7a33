// A student made from its teacher: fewer layers first, then narrower ones, as `prune` cuts them.

import { depthStays } from '../../errors/prune.ts';
import { type Dim, type Model, printType, type Shape, type Value } from '../../graph/index.ts';
import { inferTypes } from '../../ops/index.ts';
import type { CriterionName } from '../../passes/prune/importance.ts';
import type { Pattern } from '../../passes/select.ts';
import type { DataCriterion, StructuredName } from '../prune/flags.ts';
import { type MethodContext, makePruner } from '../prune/method.ts';
import type { Pruned } from '../prune/plan.ts';
import { type Shallow, shallow } from './depth.ts';

export interface ShrinkAsked {
  /** Shares that stay, above 0 up to 1. */
  readonly depth: number;
  readonly width: number;
  readonly methods: readonly StructuredName[];
  readonly criterion: CriterionName | DataCriterion;
  readonly roundTo: number;
  readonly skip: readonly Pattern[];
  readonly seed: number;
}

export interface Shrunk extends Pruned {
  /** Residual layers by name. */
  readonly kept: readonly string[];
  readonly dropped: readonly string[];
}

export function shrinker(
  asked: ShrinkAsked,
  context: MethodContext,
): (model: Model) => Promise<Shrunk> {
  return async (model) => {
    const { kept, dropped, ...less } = await fewerLayers(model, asked, context);
    const narrow = await narrower(less.model, asked, context);
    const result = {
      kept,
      dropped,
      model: narrow?.model ?? less.model,
      parts: [...less.parts, ...(narrow?.parts ?? [])],
      frozen: narrow?.frozen ?? [],
      choices: narrow?.choices,
      amount: 1 - asked.width,
    };
    requireSameEnds(model, result.model);
    return result;
  };
}

async function fewerLayers(
  model: Model,
  { depth, width, skip }: ShrinkAsked,
  { run, reporter }: MethodContext,
): Promise<Shallow> {
  if (depth === 1) return { model, parts: [], kept: [], dropped: [] };
  inferTypes(model);
  const less = await shallow(model, depth, skip, run);
  if (less.dropped.length > 0) return less;
  const why =
    less.kept.length === 0
      ? 'it has no residual layers that keep their shape'
      : `--depth ${depth} keeps all that can go of its residual layers (${less.kept.length})`;
  if (width === 1) throw depthStays(model.path ?? '', why);
  reporter.warn({ code: 'depth-kept', message: `the depth stays as it is: ${why}` });
  return less;
}

async function narrower(
  model: Model,
  { width, methods, ...asked }: ShrinkAsked,
  context: MethodContext,
): Promise<Pruned | undefined> {
  if (width === 1) return undefined;
  const pruner = makePruner(
    {
      ...asked,
      methods,
      amounts: [],
      scope: 'layer',
      minimum: 1,
      refusesEmpty: false,
      only: [],
      reduction: 'mean',
      normalization: undefined,
      pattern: '',
      score: undefined,
    },
    context,
  );
  return pruner(model, { amount: 1 - width });
}

/** A student takes its teacher's inputs and gives outputs of its types, as far as sizes are known. */
function requireSameEnds(teacher: Model, student: Model): void {
  inferTypes(student);
  const [expected, found] = [endsOf(teacher), endsOf(student)];
  const isAlike = ({ name, dtype, shape }: Value, i: number) => {
    const other = expected[i];
    return name === other?.name && dtype === other.dtype && mayBeSame(shape, other.shape);
  };
  if (found.length === expected.length && found.every(isAlike)) return;
  const [ours, theirs] = [found, expected].map((ends) =>
    ends.map(({ name, type }) => `${name}: ${printType(type)}`).join(', '),
  );
  throw new Error(`the student has ${ours}, its teacher ${theirs}`);
}

function endsOf({ graph }: Model): Value[] {
  return [...graph.inputs.filter(({ data }) => !data), ...graph.outputs];
}

/** Open sizes may have any name, and be known in one model alone. */
function mayBeSame(a: Shape | undefined, b: Shape | undefined): boolean {
  if (!a || !b) return true;
  const isOpen = (dim: Dim | undefined) => typeof dim !== 'number';
  return a.length === b.length && a.every((dim, i) => isOpen(dim) || isOpen(b[i]) || dim === b[i]);
}
