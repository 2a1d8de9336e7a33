import { describe, expect, it } from '@jest/globals';
import { chooseAt, prices, searchPrice } from '../../../src/passes/quantize/mixed.ts';
import { excludeWorst, scanLayers } from '../../../src/passes/quantize/search.ts';

/** A model whose layers cost fixed amounts of the score. */
const COSTS = new Map([
  ['a', 0.02],
  ['b', 0.3],
  ['c', 0.001],
  ['d', 0.1],
]);

const scoreWithout = (excluded: ReadonlySet<string>) =>
  1 - [...COSTS].reduce((sum, [name, cost]) => sum + (excluded.has(name) ? 0 : cost), 0);

describe('the search for layers to leave out', () => {
  it('ranks layers by what each costs alone', async () => {
    const scan = await scanLayers([...COSTS.keys()], async (name) => 1 - (COSTS.get(name) ?? 0));
    expect(scan.map(({ layer }) => layer)).toEqual(['b', 'd', 'a', 'c']);
  });

  it.each([
    [0.5, []],
    [0.7, ['b']],
    [0.95, ['b', 'd']],
    [0.9995, ['b', 'd', 'a', 'c']],
  ])('leaves out no more than a floor of %f asks for', async (floor, expected) => {
    const found = await excludeWorst(['b', 'd', 'a', 'c'], floor, async (excluded) => ({
      score: scoreWithout(excluded),
      result: excluded.size,
    }));
    expect(found.met).toBe(true);
    expect(found.excluded).toEqual(expected);
    expect(found.result).toBe(expected.length);
  });

  it('takes in again what the order put too far ahead', async () => {
    const found = await excludeWorst(['c', 'a', 'b', 'd'], 0.69, async (excluded) => ({
      score: scoreWithout(excluded),
      result: 0,
    }));
    expect(found.excluded).toEqual(['b']);
  });

  it('says when not even the model without any is good enough', async () => {
    const attempt = async () => ({ score: 0.5, result: 'float' });
    expect(await excludeWorst(['a', 'b'], 0.9, attempt)).toMatchObject({ met: false, score: 0.5 });
  });
});

const TABLE = new Map([
  [
    'small',
    [
      { precision: 'float', error: 0, cost: 4 },
      { precision: 'int8', error: 0.01, cost: 1 },
    ],
  ],
  [
    'large',
    [
      { precision: 'float', error: 0, cost: 400 },
      { precision: 'int8', error: 0.02, cost: 100 },
      { precision: 'int4', error: 0.2, cost: 50 },
    ],
  ],
] as const);

const total = (price: number, key: 'cost' | 'error') =>
  [...chooseAt(price, TABLE).values()].reduce((sum, choice) => sum + choice[key], 0);

describe('the choice of precisions', () => {
  it('pays for the layers that give most for their error first', () => {
    const steps = prices(TABLE).map((price) => [
      chooseAt(price, TABLE).get('small')?.precision,
      chooseAt(price, TABLE).get('large')?.precision,
    ]);
    expect(new Set(steps.map(String))).toEqual(
      new Set(['float,float', 'float,int8', 'int8,int8', 'int8,int4']),
    );
  });

  it('has cost fall and error rise with the price', () => {
    const list = prices(TABLE);
    for (const [i, price] of list.entries()) {
      const before = list[i - 1];
      if (before === undefined) continue;
      expect(total(price, 'cost')).toBeLessThanOrEqual(total(before, 'cost'));
      expect(total(price, 'error')).toBeGreaterThanOrEqual(total(before, 'error'));
    }
  });

  it('finds the cheapest price that reaches a size, and the dearest that keeps an error', async () => {
    const list = prices(TABLE);
    const small = await searchPrice(list, 'first', async (price) => ({
      holds: total(price, 'cost') <= 104,
      result: total(price, 'error'),
    }));
    expect(small?.result).toBeCloseTo(0.02);
    const good = await searchPrice(list, 'last', async (price) => ({
      holds: total(price, 'error') <= 0.1,
      result: total(price, 'cost'),
    }));
    expect(good?.result).toBe(101);
    const none = await searchPrice(list, 'first', async () => ({ holds: false, result: 0 }));
    expect(none).toBeUndefined();
  });
});
