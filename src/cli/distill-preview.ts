// What a run of `distill` would hold against what, for approval before it is started.

import type { Dataset } from '../data/dataset.ts';
import type { Block } from '../report/report.ts';
import { plainModel } from './train-prepare.ts';
import type { Matched, TrainRequest } from './train-request.ts';
import { teach } from './train-teachers.ts';

export async function previewMatches(request: TrainRequest): Promise<readonly Matched[]> {
  const { feeds } = await (request.data as Required<Dataset>).take([0]);
  const student = await plainModel(request.original, request.batch, feeds);
  return (await teach(request, student, feeds)).matched;
}

export function matchBlocks(matched: readonly Matched[]): Block[] {
  if (matched.length === 0) {
    return [{ text: 'Outputs are compared, and no inner tensors (--method feature, attention).' }];
  }
  const columns = ['student', 'shape', 'teacher', 'shape', 'compared by'].map((name) => ({ name }));
  const rows = matched.map((one) => [
    one.student,
    one.studentShape,
    one.teacher,
    one.teacherShape,
    `${one.by}${one.isProjected ? ', through a learned projection' : ''}`,
  ]);
  return [
    { title: 'Compared beside the outputs', columns, rows },
    { text: 'Nothing was trained. Choose others with --match or --layer-map.' },
  ];
}
