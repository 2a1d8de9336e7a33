// Language models: the next token (clm), or tokens that were hidden (mlm). Logits [N, S, V].

import { tokensNeeded } from '../../errors/train.ts';
import { printShape, type Value } from '../../graph/index.ts';
import type { Formula } from '../formula.ts';
import { atRows } from '../rows.ts';
import { counted, crossEntropy, hits } from './classify.ts';
import {
  type Ends,
  type Judged,
  logitsOf,
  meanOf,
  type Objective,
  type ObjectiveContext,
} from './objective.ts';

/** Marks places whose token is not to be told. */
export const IGNORED = -100;

/** The ids, [N, S]. */
export function tokenInput({ inputs }: Ends): Value | undefined {
  const whole = inputs.filter((value) => value.dtype === 'int64' && value.shape?.length === 2);
  return whole.find(({ name }) => /ids|tokens/i.test(name) && !/type/i.test(name)) ?? whole[0];
}

/** The ids of a model that scores tokens at each of their positions. */
function requireTokens(objective: string, ends: Ends): Value {
  const ids = tokenInput(ends);
  const [output] = ends.outputs;
  if (ids && output?.shape?.length === 3) return ids;
  throw tokensNeeded(objective, printShape(output?.shape));
}

/** The mask of tokens that are there, [N, S]. */
function maskInput({ inputs }: Ends): Value | undefined {
  return inputs.find(({ name, shape }) => /attention_mask/i.test(name) && shape?.length === 2);
}

/** Cross-entropy of logits [N, S, V] with tokens [N, S], negative ones left out. */
function judgeTokens(c: ObjectiveContext, logits: Value, tokens: Value): Judged {
  const { f, real } = c;
  const [n = 1, s = 1, v = 1] = (logits.shape ?? []).map(Number);
  const labels = f.reshape(tokens, [n * s]);
  const there = counted(f, labels);
  const weights = real ? f.mul(there, f.reshape(spread(f, real, n, s), [n * s])) : there;
  const most = c.settings.told ?? n * s;
  if (most >= n * s) return judgeRows(c, f.reshape(logits, [n * s, v]), labels, weights);
  const [, rows] = f.g.ops('TopK', [there, f.ints([most])], 2);
  const of = (value: Value) => f.op('Gather', [value, rows]);
  return judgeRows(c, atRows(f, logits, rows as Value), of(labels), of(weights));
}

/** Of logits [K, V], labels [K] and what each counts. */
function judgeRows(
  { f, settings }: ObjectiveContext,
  flat: Value,
  labels: Value,
  weights: Value,
): Judged {
  const smoothing = settings.labelSmoothing;
  return {
    loss: meanOf(f, crossEntropy(f, flat, labels, { smoothing }), weights),
    metrics: new Map([['token_accuracy', meanOf(f, hits(f, flat, labels), weights)]]),
  };
}

/** 1 where logits [N, S, …] are about a token and not about padding, [N, S]; absent: everywhere. */
export function tokensThere(c: ObjectiveContext, hasLabels: boolean): Value | undefined {
  const { f, inputs, outputs } = c;
  const [n, s] = outputs[0]?.shape ?? [];
  const name = decoderInput(c) ? /^decoder_attention_mask$/i : /attention_mask/i;
  const mask = inputs.find((value) => name.test(value.name) && `${value.shape}` === `${[n, s]}`);
  if (mask) return f.cast(f.greater(f.cast(mask, 'float32'), 0), 'float32');
  return decoderInput(c) && hasLabels ? counted(f, c.target('labels')) : undefined;
}

function spread(f: Formula, real: Value, n: number, s: number): Value {
  return f.op('Expand', [f.reshape(real, [n, 1]), f.ints([n, s])]);
}

/** What a decoder beside an encoder has read so far, [N, T]. */
export function decoderInput({ inputs }: Ends): Value | undefined {
  return inputs.find(({ name }) => /^decoder_input_ids$/i.test(name));
}

export const clm: Objective = {
  summary: 'the next token; of the target text, where the model has a decoder_input_ids',
  targets: (ends) => {
    requireTokens('clm', ends);
    const read = decoderInput(ends);
    const shape = (read?.shape ?? []).slice(1).map(Number);
    return read ? [{ name: 'labels', dtype: 'int64', shape }] : [];
  },
  build(c) {
    const { f, outputs } = c;
    const logits = logitsOf(outputs[0] as Value, ['Softmax', 'LogSoftmax']);
    if (decoderInput(c)) return judgeTokens(c, logits, c.target('labels'));
    const length = Number(logits.shape?.[1] ?? 1);
    const ids = tokenInput(c) as Value;
    const mask = maskInput(c);
    const told = mask ? f.where(f.greater(f.cast(mask, 'int64'), 0), ids, IGNORED) : ids;
    return judgeTokens(c, f.slice(logits, 1, 0, length - 1), f.slice(told, 1, 1, length));
  },
};

export const mlm: Objective = {
  summary: 'tokens that were masked (80 % hidden, 10 % exchanged, 10 % left)',
  targets(ends) {
    const shape = (requireTokens('mlm', ends).shape ?? []).slice(1).map(Number);
    return [{ name: 'labels', dtype: 'int64', shape }];
  },
  build(c) {
    const logits = logitsOf(c.outputs[0] as Value, ['Softmax', 'LogSoftmax']);
    return judgeTokens(c, logits, c.target('labels'));
  },
};
