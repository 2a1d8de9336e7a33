// Patterns that name layers, as in --skip and --only: `head*`, `/model/encoder/*`, `op:Gemm`,
// `re:^layers\.[0-3]\.`. A pattern is held against the names of the node, of its results and of its
// weights: exporters number nodes where modules are known by the names of their weights.

import { unmatchedPatterns } from '../errors/usage.ts';
import { allGraphs, type Model, type Node } from '../graph/index.ts';

export interface Pattern {
  readonly text: string;
  matches(node: Node): boolean;
  /** Whether a name by itself is meant; never for `op:`. */
  matchesName(name: string): boolean;
}

export function parsePattern(text: string): Pattern {
  if (text.startsWith('op:')) {
    const op = text.slice(3);
    return { text, matches: (node) => node.op === op, matchesName: () => false };
  }
  const expression = text.startsWith('re:') ? new RegExp(text.slice(3)) : globExpression(text);
  const matchesName = (name: string) => expression.test(name);
  const matches = (node: Node) =>
    matchesName(node.name) ||
    node.outputs.some(({ name }) => matchesName(name)) ||
    node.inputs.some((value) => value?.data && matchesName(value.name));
  return { text, matches, matchesName };
}

/** `*` stands for any text, `?` for one character; everything else for itself. */
function globExpression(glob: string): RegExp {
  const escaped = glob.replace(/[.+^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${escaped.replaceAll('*', '.*').replaceAll('?', '.')}$`);
}

/** Throws where a pattern matches no node: it is a spelling mistake more often than not. */
export function requireMatches(model: Model, flag: string, patterns: readonly Pattern[]): void {
  const unmatched = patterns.filter((pattern) => !matchesAny(model, pattern));
  if (unmatched.length > 0)
    throw unmatchedPatterns(
      flag,
      unmatched.map(({ text }) => text),
    );
}

function matchesAny(model: Model, pattern: Pattern): boolean {
  for (const graph of allGraphs(model)) {
    for (const node of graph.nodes) if (pattern.matches(node)) return true;
  }
  return false;
}
