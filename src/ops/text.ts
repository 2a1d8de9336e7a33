// Strings: normalising, splitting, matching, n-gram counts.

import { type Dim, type Shape, unknownDim } from '../graph/index.ts';
import type { InferContext } from './context.ts';
import { broadcastInputs } from './elementwise.ts';
import { define, tensor } from './op.ts';

/** [C] or [1, C]; stop words may go, so C is known only where there are none. */
function normalized(c: InferContext): Shape | undefined {
  const shape = c.shape(0);
  if (!shape || !c.node.strings('stopwords')?.length) return shape;
  return shape.map((dim, i) => (i === shape.length - 1 ? unknownDim() : dim));
}

/** One count per pooled n-gram, in the places that ngram_indexes gives. */
function tfidf(c: InferContext): Shape | undefined {
  const places = c.node.ints('ngram_indexes');
  const shape = c.shape(0);
  if (!shape || !places) return undefined;
  const length: Dim = Math.max(...places) + 1;
  return shape.length === 2 ? [shape[0] as Dim, length] : [length];
}

define(
  { op: 'StringNormalizer', infer: (c) => [tensor('string', normalized(c))] },
  { op: 'StringConcat', infer: (c) => [tensor('string', broadcastInputs(c))] },
  {
    op: 'StringSplit',
    infer: (c) => {
      const shape = c.shape(0);
      return [tensor('string', shape && [...shape, unknownDim()]), tensor('int64', shape)];
    },
  },
  { op: 'RegexFullMatch', infer: (c) => [tensor('bool', c.shape(0))] },
  { op: 'TfIdfVectorizer', infer: (c) => [tensor('float32', tfidf(c))] },
);
