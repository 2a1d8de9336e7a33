// Limits as the user writes them: an absolute amount with a unit, or a fraction of what there was.

import { badFlagValue } from '../errors/usage.ts';

export interface Limit {
  readonly kind: 'bytes' | 'ms';
  /** The limit, given what the original has. */
  of(original: number): number;
}

const BYTES: Readonly<Record<string, number>> = { b: 1, kb: 1e3, mb: 1e6, gb: 1e9 };
const TIMES: Readonly<Record<string, number>> = { us: 1e-3, ms: 1, s: 1e3 };

/** `0.25`, `25%`, `12MB`. */
export function parseSize(text: string | undefined): Limit | undefined {
  return parse('max-size', 'bytes', text, BYTES, 'a fraction or a size, as in 0.25, 25% or 12MB');
}

/** `0.5`, `50%`, `5ms`. */
export function parseLatency(text: string | undefined): Limit | undefined {
  return parse('max-latency', 'ms', text, TIMES, 'a fraction or a time, as in 0.5, 50% or 5ms');
}

function parse(
  flag: string,
  kind: Limit['kind'],
  text: string | undefined,
  units: Readonly<Record<string, number>>,
  expected: string,
): Limit | undefined {
  if (text === undefined) return undefined;
  const match = /^([0-9.]+)\s*([a-z%]*)$/i.exec(text.trim());
  const value = Number(match?.[1]);
  const unit = match?.[2]?.toLowerCase() ?? '';
  const factor = unit === '' ? 1 : unit === '%' ? 0.01 : undefined;
  if (match && value > 0 && factor !== undefined && value * factor <= 1) {
    return { kind, of: (original) => value * factor * original };
  }
  const scale = units[unit];
  if (match && value > 0 && scale !== undefined) return { kind, of: () => value * scale };
  throw badFlagValue(flag, text, expected);
}

/** `0.01` or `1%`. */
export function parseDrop(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = text.endsWith('%') ? Number(text.slice(0, -1)) / 100 : Number(text);
  if (text.trim() !== '' && value >= 0 && value <= 1) return value;
  throw badFlagValue('max-drop', text, 'a fraction from 0 to 1, as in 0.01 or 1%');
}
