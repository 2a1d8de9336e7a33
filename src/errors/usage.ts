// Errors of use: wrong flags, values and combinations. Exit code 2.

import { XformError } from './error.ts';

export function badFlagValue(flag: string, value: string, expected: string): XformError {
  return new XformError({
    kind: 'usage',
    code: 'bad-flag-value',
    message: `"${value}" is not a value for --${flag}`,
    hint: `Give ${expected}.`,
  });
}

export function unknownName(what: string, name: string, known: readonly string[]): XformError {
  const near = nearest(name, known);
  const list = known.length <= 20 ? ` Known: ${known.join(', ')}.` : '';
  return new XformError({
    kind: 'usage',
    code: `unknown-${what.replaceAll(' ', '-')}`,
    message: `there is no ${what} "${name}"`,
    hint: `${near ? `Did you mean "${near}"?` : ''}${list}`.trim() || undefined,
  } as ConstructorParameters<typeof XformError>[0]);
}

export function usageProblem(message: string, hint?: string): XformError {
  return new XformError({ kind: 'usage', code: 'usage', message, ...(hint ? { hint } : {}) });
}

/** The known name that is at most a third of its letters away. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let distance = Math.max(2, Math.ceil(name.length / 3)) + 1;
  for (const candidate of known) {
    const d = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (d < distance) [best, distance] = [candidate, d];
  }
  return best;
}

/** Levenshtein's distance, row by row. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substitution, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

export function unmatchedPatterns(flag: string, patterns: readonly string[]): XformError {
  const quoted = patterns.map((pattern) => `"${pattern}"`).join(', ');
  return new XformError({
    kind: 'usage',
    code: 'pattern-matches-nothing',
    message: `no node matches ${quoted} of --${flag}`,
    hint: 'Run "xform inspect MODEL --layers" to see the names; * stands for any text, op:Gemm for an operator, re: begins a regular expression.',
  });
}

export function badRecipe(path: string, problem: string): XformError {
  return new XformError({
    kind: 'usage',
    code: 'bad-recipe',
    message: `"${path}" cannot be replayed: ${problem}`,
    where: path,
    hint: 'Write one with --save-recipe, and give that.',
  });
}

/** An algorithm that looks at what feeds each layer was given no data. */
export function algorithmNeedsData(algorithm: string): XformError {
  return usageProblem(
    `--algorithm "${algorithm}" was given no data to see what feeds each layer`,
    'Give some samples with --data, or take --algorithm hqq or rtn, which need none.',
  );
}
