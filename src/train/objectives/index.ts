// The objectives by the name of --objective. A new one is a file and a row here.

import type { Value } from '../../graph/index.ts';
import { classify, multilabel } from './classify.ts';
import { contrastive } from './contrastive.ts';
import { detect } from './detect.ts';
import { clm, mlm } from './language.ts';
import { meanOf, type Objective } from './objective.ts';
import { reconstruct, regress } from './regress.ts';

/** A loss that is in the graph already: the mean of the output that --loss names. */
const output: Objective = {
  summary: 'a loss that is an output of the model (--loss NAME)',
  targets: () => [],
  build({ f, outputs, settings }) {
    const loss = outputs.find(({ name }) => name === settings.output) ?? (outputs[0] as Value);
    return { loss: meanOf(f, loss), metrics: new Map() };
  },
};

export const OBJECTIVES = {
  classify,
  multilabel,
  regress,
  detect,
  clm,
  mlm,
  contrastive,
  reconstruct,
  output,
} satisfies Record<string, Objective>;

export type ObjectiveName = keyof typeof OBJECTIVES;
