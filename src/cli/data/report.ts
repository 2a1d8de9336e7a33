// What `data inspect` says.

import type { BadSamples } from '../../data/bad-samples.ts';
import type { XformError } from '../../errors/error.ts';
import { type Block, type Cell, formatNumber, type Json, type Table } from '../../report/report.ts';
import { errorJson } from '../failure.ts';
import type { ArrayFacts, ClassCount, Survey } from './survey.ts';

export interface DataFindings {
  readonly kind: string | undefined;
  /** What was read and what was applied. */
  readonly summary: string;
  readonly survey: Survey;
  readonly bad: BadSamples | undefined;
  /** What does not fit the model; undefined where none was given. */
  readonly problems: readonly XformError[] | undefined;
}

export function dataMetrics({ kind, summary, survey, bad, problems }: DataFindings): object {
  return {
    ...(kind === undefined ? {} : { kind }),
    read: summary,
    ...survey,
    bad: { count: bad?.count ?? 0, samples: bad?.kept ?? [] },
    ...(problems ? { problems: problems.map((problem) => errorJson(problem) as Json) } : {}),
  };
}

export function dataBlocks({ kind, summary, survey, bad, problems }: DataFindings): Block[] {
  const { samples, seen, inputs, targets, classes, first } = survey;
  const facts: [string, Cell][] = [
    ...(kind === undefined ? [] : [['kind', kind] as [string, Cell]]),
    ['samples', samples ?? 'without an end'],
    ['read', summary],
    ...(classes.length > 0 ? [['classes', classes.length] as [string, Cell]] : []),
    ...(bad?.count ? [['bad', bad.count] as [string, Cell]] : []),
  ];
  const isPart = samples === undefined || seen < samples;
  const title = isPart ? `Inputs (values of the first ${seen} samples)` : 'Inputs';
  return [
    { facts },
    arrayTable(title, inputs),
    ...(targets.length > 0 ? [arrayTable('Targets', targets)] : []),
    ...(classes.length > 0 ? [classTable(classes)] : []),
    ...(first.length > 0 ? [sampleTable(survey)] : []),
    ...(bad?.count ? [badTable(bad)] : []),
    ...(problems ? [problemTable(problems)] : []),
  ];
}

function arrayTable(title: string, arrays: readonly ArrayFacts[]): Table {
  const right = (name: string) => ({ name, align: 'right' as const });
  const hasMissing = arrays.some(({ range }) => range?.missing);
  return {
    title,
    columns: [
      { name: 'name' },
      { name: 'type' },
      { name: 'sample' },
      ...['min', 'max', 'mean', 'std'].map(right),
      ...(hasMissing ? [right('missing')] : []),
    ],
    rows: arrays.map(({ name, dtype, shape, range }) => [
      name,
      dtype,
      `[${shape.join(', ')}]`,
      ...(range
        ? [
            short(range.min),
            short(range.max),
            range.mean.map(short).join(','),
            range.std.map(short).join(','),
          ]
        : ['', '', '', '']),
      ...(hasMissing ? [range?.missing ?? ''] : []),
    ]),
  };
}

const SHOWN_CLASSES = 20;

function classTable(classes: readonly ClassCount[]): Table {
  const hasNames = classes.some(({ name }) => name !== undefined);
  const more = classes.length - SHOWN_CLASSES;
  const rows = classes
    .slice(0, SHOWN_CLASSES)
    .map(({ label, name, samples }): Cell[] => [label, ...(hasNames ? [name ?? ''] : []), samples]);
  const rest = classes.slice(SHOWN_CLASSES).reduce((sum, { samples }) => sum + samples, 0);
  const last = ['…', ...(hasNames ? [`${more} more`] : []), rest];
  return {
    title: 'Classes',
    columns: [
      { name: 'label', align: 'right' },
      ...(hasNames ? [{ name: 'name' }] : []),
      { name: 'samples', align: 'right' },
    ],
    rows: more > 0 ? [...rows, last] : rows,
  };
}

function sampleTable({ first, inputs, targets, classes }: Survey): Table {
  const names = [...inputs, ...targets].map(({ name }) => name);
  const hasNames = first.some(({ name }) => name !== undefined);
  const classOf = (value: number | string | undefined) =>
    classes.find(({ label }) => label === value)?.name;
  const cell = (values: readonly (number | string)[] = [], name: string): string => {
    const text = values
      .slice(0, 4)
      .map((value) => (typeof value === 'string' ? cut(value) : short(value)));
    const label = targets.some((target) => target.name === name) ? classOf(values[0]) : undefined;
    return `${text.join(' ')}${values.length > 4 ? ' …' : ''}${label === undefined ? '' : ` (${label})`}`;
  };
  return {
    title: 'First samples',
    columns: [
      { name: '#', align: 'right' },
      ...(hasNames ? [{ name: 'sample' }] : []),
      ...names.map((name) => ({ name })),
    ],
    rows: first.map((sample, i) => [
      i,
      ...(hasNames ? [cut(sample.name ?? '')] : []),
      ...names.map((name) => cell(sample.values[name], name)),
    ]),
  };
}

const SHOWN_BAD = 20;

function badTable({ count, kept }: BadSamples): Table {
  return {
    title: count > SHOWN_BAD ? `Bad samples (the first ${SHOWN_BAD} of ${count})` : 'Bad samples',
    columns: [{ name: 'where' }, { name: 'what is wrong' }],
    rows: kept.slice(0, SHOWN_BAD).map(({ where, message }) => [where, message]),
  };
}

function problemTable(problems: readonly XformError[]): Block {
  if (problems.length === 0) return { text: 'The data fits the model.' };
  return {
    title: 'What does not fit the model',
    columns: [{ name: 'problem' }, { name: 'where' }, { name: 'what to do' }],
    rows: problems.map(({ message, where, hint }) => [message, where ?? '', hint ?? '']),
  };
}

/** Whole numbers as they are. */
function short(value: number): string {
  return Number.isSafeInteger(value) ? String(value) : formatNumber(value);
}

const LINE = 48;

/** One line, of its end where it is a path. */
function cut(text: string): string {
  const line = text.replaceAll(/\s+/g, ' ').trim();
  if (line.length <= LINE) return line;
  const isPath = /^\S*\//.test(line) && !line.includes(' ');
  return isPath ? `…${line.slice(1 - LINE)}` : `${line.slice(0, LINE - 1)}…`;
}
