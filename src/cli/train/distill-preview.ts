// What a run of `distill` would hold against what, for approval before it is started.

import type { Dataset } from '../../data/dataset.ts';
import type { Block } from '../../report/report.ts';
import { openFused } from '../../train/open.ts';
import { plainModel } from './prepare.ts';
import type { Matched, TrainRequest } from './request.ts';
import { teach } from './teachers.ts';

export interface Preview {
  /** Outputs. */
  readonly compared: readonly Matched[];
  /** Inner tensors. */
  readonly matched: readonly Matched[];
}

export async function previewMatches(request: TrainRequest): Promise<Preview> {
  const { feeds } = await (request.data as Required<Dataset>).take([0]);
  const student = await plainModel(request.original, request.batch, feeds);
  openFused(student);
  const { compared, matched } = await teach(request, student, feeds);
  return { compared, matched };
}

export function matchBlocks({ compared, matched }: Preview): Block[] {
  const inner = tableOf('Inner tensors', matched);
  return [
    tableOf('Outputs', compared),
    matched.length > 0 ? inner : { text: 'No inner tensors (--method feature, attention).' },
    { text: 'Nothing was trained. Choose other inner tensors with --match or --layer-map.' },
  ];
}

function tableOf(title: string, pairs: readonly Matched[]): Block {
  const columns = ['student', 'shape', 'teacher', 'shape', 'compared by'].map((name) => ({ name }));
  const rows = pairs.map((one) => [
    one.student,
    one.studentShape,
    one.teacher,
    one.teacherShape,
    `${one.by}${one.isProjected ? ', through a learned projection' : ''}`,
  ]);
  return { title, columns, rows };
}
