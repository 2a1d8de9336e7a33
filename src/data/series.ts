// A table as a series in time: a sample is a window of rows, and its target what a column says in the
// rows after it.

import { noHorizonColumn, seriesInputs, seriesTooShort, seriesWindow } from '../errors/series.ts';
import { printShape, symbol } from '../graph/index.ts';
import { elementCount } from '../tensor/dtype.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { BadSamples } from './bad-samples.ts';
import { arrayDataset } from './batch.ts';
import { collectRows, columnIndex, NumberColumns } from './columns.ts';
import type { Dataset, InputSpec } from './dataset.ts';
import type { DataRequest } from './kind.ts';
import type { ArraySource } from './source.ts';
import type { TableReader } from './table-reader.ts';

/** What windows are for where there is no model. */
const OPEN: InputSpec = {
  name: 'window',
  dtype: 'float32',
  shape: [symbol('batch'), symbol('rows'), symbol('columns')],
};

/**
 * Windows of --seq rows, a new one every --stride, each with the --label of the next --horizon rows.
 * Parts of a split are cut in the order of time, and have no row in common.
 */
export async function openSeries(
  { path, inputs, options }: DataRequest,
  reader: TableReader,
  bad: BadSamples,
): Promise<Dataset> {
  const { split, part, horizon = 1, stride = 1, label, relative, ...others } = options;
  const [input, ...more] = inputs ?? [OPEN];
  if (label === undefined) throw noHorizonColumn();
  if (!input || more.length > 0) throw seriesInputs((inputs ?? []).map(({ name }) => name));
  const features = options.features ?? reader.columns;
  const feature = new NumberColumns(features.map((name) => columnIndex(path, reader, name)));
  const target = new NumberColumns([columnIndex(path, reader, label)]);
  await collectRows(reader, [feature, target], bad);
  const window = windowLength(input, features.length, options.seq);
  const all = target.values.length;
  const cut = Math.round(all * (split ?? 1));
  const [from, to] = part === 'rest' ? [cut, all] : [0, cut];
  const count = Math.max(0, Math.floor((to - from - window - horizon) / stride) + 1);
  if (count === 0) throw seriesTooShort(path, to - from, window, horizon);
  const width = features.length;
  const place = { path, count, stride };
  const sources = [
    windows(input.name, feature.values, {
      ...place,
      from,
      width,
      sample: [window, width],
      origin: relative ? window - 1 : undefined,
    }),
    windows('labels', target.values, {
      ...place,
      from: from + window,
      width: 1,
      sample: [horizon],
      origin: relative ? -1 : undefined,
    }),
  ];
  const share = split === undefined ? [] : [`part ${part ?? 'train'} of train=${split}, in order`];
  const apart = relative ? ['as differences to the last row'] : [];
  const notes = [
    `windows of ${window} rows, "${label}" of the next ${horizon}`,
    ...apart,
    ...share,
  ];
  return arrayDataset(path, sources, inputs, others, { notes, bad });
}

/** Rows of a window: what the input says, [N, rows, columns] or [N, rows * columns], else --seq. */
function windowLength(
  { name, shape }: InputSpec,
  columns: number,
  asked: number | undefined,
): number {
  const [, size] = shape;
  const fixed = typeof size === 'number' ? (shape.length === 2 ? size / columns : size) : asked;
  const isMeant = asked === undefined || asked === fixed;
  if (fixed !== undefined && Number.isInteger(fixed) && isMeant) return fixed;
  throw seriesWindow(name, printShape(shape), columns, asked);
}

interface WindowPlan {
  readonly path: string;
  readonly count: number;
  /** The first row of the first window, and rows from one window to the next. */
  readonly from: number;
  readonly stride: number;
  /** Numbers of a row. */
  readonly width: number;
  /** Shape of a window. */
  readonly sample: readonly number[];
  /** The row, from the first one of a window, whose numbers are taken from all others. */
  readonly origin: number | undefined;
}

/** float64 [count, …sample] over the numbers of all rows. */
function windows(name: string, values: Float64Array, plan: WindowPlan): ArraySource {
  const { path, count, from, stride, width, sample, origin } = plan;
  const size = elementCount(sample);
  return {
    name,
    where: path,
    dtype: 'float64',
    shape: [count, ...sample],
    rows(rows) {
      const out = new Float64Array(rows.length * size);
      rows.forEach((row, i) => {
        const at = (from + row * stride) * width;
        const base = origin === undefined ? undefined : at + origin * width;
        for (let j = 0; j < size; j++) {
          const zero = base === undefined ? 0 : (values[base + (j % width)] as number);
          out[i * size + j] = (values[at + j] as number) - zero;
        }
      });
      return Tensor.of('float64', [rows.length, ...sample], out);
    },
  };
}
