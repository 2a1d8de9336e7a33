// Which tokens are hidden for masked language modelling.

import { expect, it } from '@jest/globals';
import { Tensor } from '../../src/tensor/tensor.ts';
import { maskTokens, mostTold } from '../../src/train/masking.ts';

const ids = (name: string, values: number[]) =>
  [name, Tensor.of('int64', [values.length / 50, 50], values)] as const;

it('hides tokens, but neither padding nor special ones', () => {
  const tokens = Array.from({ length: 1000 }, (_, i) => (i % 50 < 5 ? 2 : 10 + (i % 7)));
  const mask = tokens.map((_, i) => (i % 50 < 40 ? 1 : 0));
  const feeds = new Map([ids('attention_mask', mask), ids('input_ids', tokens)]);
  const masking = {
    input: 'input_ids',
    mask: 4,
    vocabulary: 100,
    special: new Set([2, 4]),
    share: 0.5,
  };
  const masked = maskTokens({ feeds, targets: new Map(), count: 20 }, masking, ['a']);
  const labels = masked.targets.get('labels')?.numbers() ?? [];
  const shown = masked.feeds.get('input_ids')?.numbers() ?? [];
  const told = labels.flatMap((label, i) => (label === -100 ? [] : [i]));
  expect(told.every((i) => labels[i] === tokens[i] && mask[i] === 1 && tokens[i] !== 2)).toBe(true);
  expect(tokens.every((token, i) => labels[i] !== -100 || shown[i] === token)).toBe(true);
  const hidden = told.filter((i) => shown[i] === 4);
  // Of 700 tokens, half is told, and 80 % of it hidden: 280, give or take four deviations.
  expect(Math.abs(hidden.length - 280)).toBeLessThan(53);
});

it('hides the same in a batch, whatever stands beside it, and never more than was counted on', () => {
  const tokens = Array.from({ length: 400 }, (_, i) => 10 + (i % 7));
  const masking = {
    input: 'input_ids',
    mask: 4,
    vocabulary: 100,
    special: new Set([4]),
    share: 0.9,
  };
  const all = { feeds: new Map([ids('input_ids', tokens)]), targets: new Map(), count: 8 };
  const half = { ...all, feeds: new Map([ids('input_ids', tokens.slice(200))]), count: 4 };
  const labels = (batch: typeof all, seeds: string[]) =>
    maskTokens(batch, masking, seeds).targets.get('labels')?.numbers() ?? [];
  expect(labels(all, ['a', 'b']).slice(200)).toEqual(labels(half, ['b']));
  const few = { ...masking, share: 0.001 };
  expect(mostTold(few, 200)).toBe(2);
  const each = Array.from({ length: 500 }, (_, i) => maskTokens(half, few, [`${i}`]));
  const told = each.map(({ targets }) =>
    targets
      .get('labels')
      ?.numbers()
      .filter((x) => x >= 0),
  );
  expect(Math.max(...told.map((found) => found?.length ?? 0))).toBe(2);
});
