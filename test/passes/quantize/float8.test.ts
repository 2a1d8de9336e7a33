import { expect, it } from '@jest/globals';
import { Float8 } from '../../../src/passes/quantize/float8.ts';

// OCP 8-bit Floating Point Specification, tables of E4M3 and E5M2.
it.each([
  ['float8e4m3fn', 0x7e, 448],
  ['float8e4m3fn', 0x08, 2 ** -6],
  ['float8e4m3fn', 0x01, 2 ** -9],
  ['float8e4m3fn', 0x38, 1],
  ['float8e5m2', 0x7b, 57344],
  ['float8e5m2', 0x04, 2 ** -14],
  ['float8e5m2', 0x3c, 1],
] as const)('%s %i is %f', (type, code, value) => {
  expect(Float8.decode(type, code)).toBe(value);
  expect(Float8.encode(type, value)).toBe(code);
  expect(Float8.encode(type, -value)).toBe(code | 0x80);
});

it('rounds to the nearest, halves to even codes, and saturates', () => {
  expect(Float8.decode('float8e4m3fn', Float8.encode('float8e4m3fn', 1.0625))).toBe(1);
  expect(Float8.decode('float8e4m3fn', Float8.encode('float8e4m3fn', 1.1875))).toBe(1.25);
  expect(Float8.decode('float8e4m3fn', Float8.encode('float8e4m3fn', 1.07))).toBe(1.125);
  expect(Float8.decode('float8e4m3fn', Float8.encode('float8e4m3fn', 1e6))).toBe(448);
  expect(Float8.decode('float8e5m2', Float8.encode('float8e5m2', -1e9))).toBe(-57344);
});
