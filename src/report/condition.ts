// Conditions over the metrics of a report: `latency_ms.p50>10`, joined by && and ||, && binding first.
// Either side of a comparison is a number or the path of a metric.

import { badFlagValue, unknownName } from '../errors/usage.ts';
import type { Json } from './report.ts';

export interface Condition {
  readonly text: string;
  /** Any of these holds when all of its comparisons hold. */
  readonly any: readonly (readonly Comparison[])[];
}

interface Comparison {
  readonly left: string;
  readonly operator: Operator;
  readonly right: string;
}

type Operator = '>' | '<' | '>=' | '<=' | '==' | '!=';

const HOLDS: Readonly<Record<Operator, (a: number | string, b: number | string) => boolean>> = {
  '>': (a, b) => a > b,
  '<': (a, b) => a < b,
  '>=': (a, b) => a >= b,
  '<=': (a, b) => a <= b,
  '==': (a, b) => a === b,
  '!=': (a, b) => a !== b,
};

/** Throws, naming the flag, when the text is no condition. */
export function parseCondition(flag: string, text: string): Condition {
  const any = text.split('||').map((part) =>
    part.split('&&').map((comparison) => {
      const match = /^\s*([^\s<>=!]+)\s*(>=|<=|==|!=|>|<)\s*([^\s<>=!]+)\s*$/.exec(comparison);
      const [, left, operator, right] = match ?? [];
      if (!left || !operator || !right) {
        throw badFlagValue(flag, text, "a comparison, as in --fail-if 'latency_ms.p50>10'");
      }
      return { left, operator: operator as Operator, right };
    }),
  );
  return { text, any };
}

/**
 * What made the condition true, as `latency_ms.p50 = 12.3`; undefined when it is not. Throws for a
 * metric that the report does not have.
 */
export function whyTrue(condition: Condition, metrics: Json): string | undefined {
  for (const all of condition.any) {
    const facts: string[] = [];
    const holds = all.every(({ left, operator, right }) => {
      const [a, b] = [left, right].map((operand) => {
        const value = operandValue(operand, metrics);
        if (!isLiteral(operand)) facts.push(`${operand} = ${value}`);
        return value;
      });
      return a !== undefined && b !== undefined && HOLDS[operator](a, b);
    });
    if (holds) return facts.join(', ');
  }
  return undefined;
}

/**
 * The first of several sets of metrics for which the condition holds. Sets that lack a metric are
 * passed over (the reference of a comparison has no ratio), unless all lack it.
 */
export function firstTrue(
  condition: Condition,
  sets: ReadonlyMap<string, Json>,
): { readonly name: string; readonly facts: string } | undefined {
  const answerable = [...sets].filter(([, metrics]) => isAnswerable(condition, metrics));
  for (const [name, metrics] of answerable.length > 0 ? answerable : sets) {
    const facts = whyTrue(condition, metrics);
    if (facts !== undefined) return { name, facts };
  }
  return undefined;
}

function isAnswerable(condition: Condition, metrics: Json): boolean {
  const known = new Set(pathsOf(metrics));
  const operands = condition.any.flat().flatMap(({ left, right }) => [left, right]);
  return operands.every((operand) => isLiteral(operand) || known.has(operand));
}

function operandValue(operand: string, metrics: Json): number | string {
  if (isLiteral(operand)) return isNumber(operand) ? Number(operand) : operand.slice(1, -1);
  const value = at(metrics, operand);
  if (typeof value === 'number' || typeof value === 'string') return value;
  throw unknownName('metric', operand, pathsOf(metrics));
}

/** A number, or a word in quotes. */
function isLiteral(operand: string): boolean {
  return isNumber(operand) || /^(['"]).*\1$/.test(operand);
}

function isNumber(operand: string): boolean {
  return operand !== '' && Number.isFinite(Number(operand));
}

function at(metrics: Json, path: string): Json | undefined {
  let value: Json | undefined = metrics;
  for (const key of path.split('.')) {
    if (value === null || typeof value !== 'object') return undefined;
    value = (value as { readonly [key: string]: Json | undefined })[key];
  }
  return value;
}

/** Dotted paths of all numbers and words outside of lists. */
function pathsOf(metrics: Json, prefix = ''): string[] {
  if (metrics === null || typeof metrics !== 'object' || Array.isArray(metrics)) return [];
  return Object.entries(metrics as Record<string, Json>).flatMap(([key, value]) => {
    const path = `${prefix}${key}`;
    if (typeof value === 'number' || typeof value === 'string') return [path];
    return pathsOf(value, `${path}.`);
  });
}
