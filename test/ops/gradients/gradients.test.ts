// Every gradient rule against central differences, on the cases of its family.

import { readdirSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { differentiableOps } from '../../../src/ops/gradient.ts';
import '../../../src/ops/index.ts';
import { checkGradient, type GradientCase } from '../../helpers/gradcheck.ts';

const families = readdirSync(import.meta.dirname).filter((file) => file.endsWith('.cases.ts'));
const loaded = await Promise.all(
  families.map(async (file) => {
    const { cases } = (await import(`./${file}`)) as { cases: readonly GradientCase[] };
    return [file.replace('.cases.ts', ''), cases] as const;
  }),
);

describe.each(loaded)('gradients of %s', (_family, cases) => {
  it.each(cases.map((one) => [one.text, one] as const))('%s', async (_text, one) => {
    const { error, limit, input, precision } = await checkGradient(one);
    const found = `relative error ${error.toPrecision(3)} at ${input} in ${precision} precision`;
    expect(error <= limit ? 'close' : found).toBe('close');
  });
});

it('has a case for every rule', () => {
  const texts = loaded.flatMap(([, cases]) => cases.map(({ text }) => text));
  const isUsed = (key: string) => {
    const op = key.slice(key.indexOf(':') + 1);
    return texts.some((text) => new RegExp(`\\b${op}\\s*[<(]`).test(text));
  };
  expect(differentiableOps().filter((key) => !isUsed(key))).toEqual([]);
});
