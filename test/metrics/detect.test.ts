// Detection against pycocotools (make_detect.py): crowds, ties, sizes, images of many detections.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { Detect, type Truth } from '../../src/metrics/detect.ts';
import type { Metrics } from '../../src/metrics/evaluation.ts';
import { expectMetrics } from '../helpers/metrics.ts';

interface Case {
  readonly name: string;
  readonly images: { readonly truths: Truth[]; readonly detections: number[][] }[];
  readonly expected: Metrics;
  readonly perClass: Record<string, number>;
  readonly samples: number[];
  readonly resampled: Metrics | null;
}

const CASES: Case[] = JSON.parse(readFileSync('test/metrics/detect.json', 'utf8'));

/** Without what pycocotools does not have. */
function cocoOnly({ precision, recall, f1, ...rest }: Metrics): Metrics {
  return rest;
}

describe('detect', () => {
  it.each(CASES)('agrees with pycocotools: $name', (given) => {
    const found = new Detect();
    for (const { truths, detections } of given.images) found.add(detections.flat(), truths);
    const evaluation = found.finish();
    expectMetrics(cocoOnly(evaluation.compute()), given.expected, 1e-12);
    const classes = (evaluation.perClass?.() ?? []).flatMap(({ class: of, metrics }) => {
      return metrics['ap'] === undefined ? [] : [[of, metrics['ap']]];
    });
    expectMetrics(Object.fromEntries(classes), given.perClass, 1e-12);
    if (given.resampled) {
      expectMetrics(cocoOnly(evaluation.compute(given.samples)), given.resampled, 1e-12);
    }
  });

  it('counts hits and misses from a score on', () => {
    const found = new Detect({ scoreThreshold: 0.3 });
    const boxes = [0, 0, 10, 10, 0.9, 1, 50, 50, 60, 60, 0.3, 1, 0, 0, 10, 10, 0.29, 2];
    found.add(boxes, [
      { box: [0, 0, 10, 9], class: 1 },
      { box: [0, 0, 10, 10], class: 2 },
    ]);
    expect(found.finish().compute()).toMatchObject({ precision: 0.5, recall: 0.5, f1: 0.5 });
  });

  it('says nothing where there is nothing to find', () => {
    const found = new Detect();
    found.add([0, 0, 9, 9, 0.9, 0], []);
    expect(found.finish().compute()).toEqual({});
  });
});
