// `xform data tokenizer` as a user runs it, and what it writes as --tokenizer reads it.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from '@jest/globals';
import { openTokenizer } from '../../src/data/tokenizer.ts';
import { xform } from '../helpers/cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform-data-tokenizer-'));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string) => join(folder, name);
writeFileSync(at('a.txt'), 'one two three two\ntwo\n');
writeFileSync(at('b.txt'), 'Ünique');

it('writes a vocabulary of each kind', async () => {
  const run = async (...args: string[]) => {
    const files = ['--train', at('a.txt'), at('b.txt'), '-o', at('t.json'), '--json'];
    const { stdout, stderr, code } = await xform(['data', 'tokenizer', ...args, ...files]);
    expect([stderr, code]).toEqual(['', 0]);
    const tokenizer = await openTokenizer(at('t.json'), () => []);
    return { tokenizer, metrics: JSON.parse(stdout).metrics };
  };
  const bpe = await run('--vocab', '260', '--special', '<pad>');
  expect(bpe.metrics).toEqual({ tokens: 260, merges: 3 });
  expect(bpe.tokenizer.ids(' two').length).toBe(1);
  const char = await run('--kind', 'char');
  expect(char.metrics.tokens).toBe(new Set(' one two three\nÜnique').size);
  expect(char.tokenizer.ids('\n Ü')).toEqual([0, 1, char.metrics.tokens - 1]);
  const byte = await run('--kind', 'byte', '--special', '<pad>,</s>');
  expect(byte.metrics.tokens).toBe(258);
  expect(byte.tokenizer.ids('a')).toEqual([97]);
});

it('shows help, also of the topic', async () => {
  expect((await xform(['data', 'tokenizer', '--help'])).stdout).toContain('--vocab=N');
  expect((await xform(['data', '--help'])).stdout).toContain('data tokenizer');
});

it('says what is wrong', async () => {
  const small = ['data', 'tokenizer', '--train', at('a.txt'), '--vocab', '100'];
  expect(await xform(small)).toMatchObject({ code: 2, stderr: expect.stringContaining('--vocab') });
  const none = await xform(['data', 'tokenizer', '--train', at('none.txt')]);
  expect(none).toMatchObject({ code: 3, stderr: expect.stringContaining('none.txt') });
});

it('trains a model on text, and keeps the characters beside it', async () => {
  const text = readFileSync('README.md', 'utf8').replace(/[^\n -~]/g, '');
  writeFileSync(at('train.txt'), text.slice(0, 6000));
  writeFileSync(at('val.txt'), text.slice(0, 1000));
  const size = String(new Set(text.slice(0, 6000)).size);
  const small = ['--hidden', '16', '--layers', '1', '--heads', '2', '--seq', '16'];
  await xform(['init', 'gpt', '--vocab', size, ...small, '-o', at('gpt.onnx')]);
  const data = ['--data', at('train.txt'), '--val', at('val.txt')];
  const flags = ['--tokenizer', 'char', '--seq', '16', '--objective', 'clm', '--epochs', '2'];
  const out = ['-o', at('out.onnx'), '--json'];
  const run = await xform(['train', at('gpt.onnx'), ...data, ...flags, '--lr', '0.01', ...out]);
  expect(run).toMatchObject({ code: 0 });
  const { metrics } = JSON.parse(run.stdout);
  expect(metrics.validation.loss).toBeLessThan(Math.log(Number(size)));
  const tokenizer = await openTokenizer(at('out.tokenizer.json'), () => []);
  expect(Object.keys(tokenizer.file.model.vocab).length).toBe(Number(size));
});
