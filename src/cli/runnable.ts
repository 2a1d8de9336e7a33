// Whether a model can be run in passing: sessions copy weights.

import { freemem } from 'node:os';
import type { Model } from '../graph/index.ts';
import { weightBytes } from '../inspect/summary.ts';
import { formatBytes } from '../report/report.ts';

/** Share of the free memory that a model's weights may take. */
const RUNNABLE_SHARE = 0.2;

/** Why it is too big; undefined where it is not. */
export function tooBigToRun(model: Model): string | undefined {
  const bytes = weightBytes(model);
  if (bytes <= freemem() * RUNNABLE_SHARE) return undefined;
  return `running ${formatBytes(bytes)} of weights does not fit into the free memory`;
}
