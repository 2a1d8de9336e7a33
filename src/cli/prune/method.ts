// From what the user asked for to the pruner that does it.

import { needsData } from '../../errors/prune.ts';
import type { Model } from '../../graph/index.ts';
import type { Runner } from '../../passes/pass.ts';
import type { Amount } from '../../passes/prune/channels.ts';
import type { Scope } from '../../passes/prune/choose.ts';
import {
  CRITERIA,
  type CriterionName,
  type Normalization,
  type Reduction,
} from '../../passes/prune/importance.ts';
import type { Score } from '../../passes/prune/sparse/index.ts';
import type { Pattern } from '../../passes/select.ts';
import type { Reporter } from '../../report/reporter.ts';
import type { SessionOptions } from '../../runtime/options.ts';
import type { PruneData } from './data.ts';
import {
  DATA_CRITERIA,
  type DataCriterion,
  type MethodName,
  STRUCTURED,
  type StructuredName,
} from './flags.ts';
import type { Pruner } from './plan.ts';
import { dataCriterion } from './scores.ts';
import { structuredPruner } from './structured.ts';
import { weightPruner } from './weights.ts';

export interface MethodSettings {
  readonly methods: readonly MethodName[];
  readonly amounts: readonly Amount[];
  readonly scope: Scope | undefined;
  readonly roundTo: number;
  readonly minimum: number;
  /** Whether an amount that leaves nothing of a group is an error. */
  readonly refusesEmpty: boolean;
  readonly skip: readonly Pattern[];
  readonly only: readonly Pattern[];
  readonly criterion: CriterionName | DataCriterion | undefined;
  readonly reduction: Reduction;
  readonly normalization: Normalization | undefined;
  /** N:M of method nm, and what it goes by. */
  readonly pattern: string;
  readonly score: Score | undefined;
  readonly seed: number;
}

export interface MethodContext {
  readonly run: Runner;
  readonly session: SessionOptions;
  readonly reporter: Reporter;
  readonly data: PruneData | undefined;
}

export function makePruner(settings: MethodSettings, context: MethodContext): Pruner {
  const [first = 'channel'] = settings.methods;
  if (!isStructured(first)) {
    const scope = settings.scope ?? (first === 'magnitude' ? 'global' : 'layer');
    const importance = settings.criterion === 'fisher' ? 'fisher' : 'taylor';
    return weightPruner({ ...settings, method: first, scope, importance }, context);
  }
  return structuredPruner(
    {
      ...settings,
      methods: settings.methods.filter(isStructured),
      scope: settings.scope ?? 'layer',
      criterion: criterionOf(settings.criterion ?? 'l2', context),
    },
    context.run,
    context.reporter,
  );
}

export function isStructured(name: MethodName): name is StructuredName {
  return (STRUCTURED as readonly string[]).includes(name);
}

function criterionOf(name: CriterionName | DataCriterion, context: MethodContext) {
  if (isOwn(name)) return name;
  const { data } = context;
  if (!data) throw needsData(`--criterion "${name}"`);
  return (model: Model) => dataCriterion(name, model, data, context);
}

function isOwn(name: CriterionName | DataCriterion): name is CriterionName {
  return (CRITERIA as readonly string[]).includes(name);
}

export function looksAtData({ criterion }: MethodSettings): boolean {
  return (DATA_CRITERIA as readonly string[]).includes(criterion ?? '');
}
