// The three renderings of one report, and the numbers in them.

import { describe, expect, it } from '@jest/globals';
import { renderHtml, renderMarkdown, renderText } from '../../src/report/render.ts';
import {
  type Block,
  formatBytes,
  formatCount,
  formatNumber,
  type Report,
} from '../../src/report/report.ts';

const blocks: Block[] = [
  {
    title: 'Facts',
    facts: [
      ['file', '1.2 kB'],
      ['nodes', 12],
    ],
  },
  {
    title: 'Rows',
    columns: [{ name: 'name' }, { name: 'ms', align: 'right' }],
    rows: [
      ['a|b', 1.23456],
      ['<c>', 10],
    ],
  },
];

const report: Report = {
  command: 'bench',
  version: '1.0.0',
  options: {},
  metrics: {},
  steps: [],
  warnings: [{ code: 'slow', message: 'it is slower', where: 'a.onnx' }],
  seconds: 1,
};

describe('render', () => {
  it('aligns text and puts no color where none is wanted', () => {
    expect(renderText(blocks, false)).toBe(
      'Facts\nfile   1.2 kB\nnodes  12\n\nRows\nname    ms\na|b   1.23\n<c>     10\n',
    );
    expect(renderText(blocks, true)).toContain('\u001b[1mRows');
  });

  it('escapes Markdown and lists warnings', () => {
    const text = renderMarkdown(report, blocks);
    expect(text).toContain('| a\\|b | 1.23 |');
    expect(text).toContain('| --- | ---: |');
    expect(text).toContain('- a.onnx: it is slower');
  });

  it('makes one HTML page without outside assets', () => {
    const html = renderHtml(report, blocks);
    expect(html).toContain('<td>&lt;c&gt;</td><td class="right">10</td>');
    expect(html).toContain('a.onnx: it is slower');
    expect(html).not.toMatch(/src=|href=|@import|url\(/);
  });
});

describe('numbers', () => {
  it('come with three digits and the unit of their size', () => {
    expect([0, 999, 1000, 12_345, 1_234_567, 2e9].map(formatBytes)).toEqual([
      '0 B',
      '999 B',
      '1 kB',
      '12.3 kB',
      '1.23 MB',
      '2 GB',
    ]);
    expect([7, 25_557_032].map(formatCount)).toEqual(['7', '25.6 M']);
    expect([1.23456, 0.00012, 12345.6, 3].map(formatNumber)).toEqual([
      '1.23',
      '1.20e-4',
      '12346',
      '3',
    ]);
  });
});
