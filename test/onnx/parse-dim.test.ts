// Symbolic sizes: text as exporters write it, against evaluation with numbers.

import { describe, expect, it } from '@jest/globals';
import { type Dim, isUnknown, sameDim, substitute } from '../../src/graph/index.ts';
import { parseDim } from '../../src/onnx/parse-dim.ts';

const SIZES = new Map<string, Dim>([
  ['batch', 3],
  ['h', 7],
  ['past_sequence_length', 5],
  ['s0', 4],
]);

describe('an expression', () => {
  it.each([
    ['batch*12', 36],
    ['12 * batch', 36],
    ['past_sequence_length + 1', 6],
    ['batch * (h - 1) + 2', 20],
    ['floor(h/2)', 3],
    ['floor((h + 1)/2) - 1', 3],
    ['floor(h/2 - 1/2) + 1', 4],
    ['ceiling(h/2)', 4],
    ['h//2', 3],
    ['(h + 1)/2*2', 8],
    ['-h + 10', 3],
    ['Max(1, s0)', 4],
    ['Min(batch, h, s0)', 3],
    ['min(2*s0, h)', 7],
    ['floor(floor(h/2)/2)', 1],
    ['floor(3*h/4)', 5],
    ['s0*s0*2', 32],
  ])('%s', (text, expected) => {
    expect(substitute(parseDim(text), SIZES)).toBe(expected);
  });

  it('means the same however it is written', () => {
    expect(sameDim(parseDim('2*(batch + 1)'), parseDim('batch*2+2'))).toBe(true);
    expect(sameDim(parseDim('floor((2*h + 1)/2)'), parseDim('h + floor(1/2)'))).toBe(true);
  });
});

describe('what is no expression', () => {
  it.each([
    'Unsqueeze__12:0',
    'a b',
    'h/2',
    'foo(h)',
    '(h',
    'h +',
    'batch size!',
    'größe',
    '12',
    '3 - 3',
    '-',
    'floor(h',
    'h**2',
    '1/0',
    'a/0',
    '('.repeat(5000),
    'a+'.repeat(5000),
  ])('%p is one symbol', (text) => {
    const dim = parseDim(text);
    expect(String(dim)).toBe(text);
    expect(isUnknown(dim)).toBe(false);
  });

  it.each(['', '?', '?_1'])('%j is unknown, each time anew', (text) => {
    expect(isUnknown(parseDim(text))).toBe(true);
    expect(sameDim(parseDim(text), parseDim(text))).toBe(false);
  });
});
