import { describe, expect, it } from '@jest/globals';
import { firstTrue, parseCondition, whyTrue } from '../../src/report/condition.ts';
import type { Json } from '../../src/report/report.ts';

const METRICS = {
  latency_ms: { p50: 12.5, p90: 20 },
  ratio: 1.2,
  verdict: 'slower',
  sweep: [{ batch: 1 }],
};
const why = (text: string) => whyTrue(parseCondition('fail-if', text), METRICS);

describe('conditions', () => {
  it.each([
    ['latency_ms.p50>10', 'latency_ms.p50 = 12.5'],
    ['latency_ms.p50 > 12.5', undefined],
    ['latency_ms.p50>=12.5', 'latency_ms.p50 = 12.5'],
    ['ratio<1', undefined],
    ['1.1 < ratio', 'ratio = 1.2'],
    ['ratio!=1.2', undefined],
    ["verdict=='slower'", 'verdict = slower'],
    ['ratio>2 || latency_ms.p90>19', 'latency_ms.p90 = 20'],
    ['ratio>1 && latency_ms.p90>20', undefined],
    ['latency_ms.p90 > latency_ms.p50', 'latency_ms.p90 = 20, latency_ms.p50 = 12.5'],
    ['ratio>1e-3', 'ratio = 1.2'],
  ])('%s', (text, expected) => {
    expect(why(text)).toBe(expected);
  });

  it.each(['', 'latency_ms.p50', '>10', 'a>b>c', 'ratio>1 &&', 'ratio => 1'])(
    'refuses %p with a usage error',
    (text) => {
      expect(() => parseCondition('fail-if', text)).toThrow(
        expect.objectContaining({ kind: 'usage', code: 'bad-flag-value' }),
      );
    },
  );

  it('names the nearest metric for one that is not there', () => {
    expect(() => why('latency_ms.p5>1')).toThrow(
      expect.objectContaining({ kind: 'usage', hint: expect.stringContaining('latency_ms.p50') }),
    );
  });

  it('passes over sets without the metric, unless all lack it', () => {
    const condition = parseCondition('fail-if', 'ratio>1.1');
    const sets = new Map<string, Json>([
      ['a.onnx', { latency_ms: { p50: 1 } }],
      ['b.onnx', { ratio: 1.5 }],
    ]);
    expect(firstTrue(condition, sets)).toEqual({ name: 'b.onnx', facts: 'ratio = 1.5' });
    sets.delete('b.onnx');
    expect(() => firstTrue(condition, sets)).toThrow('there is no metric "ratio"');
  });
});
