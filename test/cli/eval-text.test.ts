// Texts from end to end: models built by hand whose translations and answers are known, and a small one
// that learns words before it learns classes.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Model } from '../../src/graph/index.ts';
import { Translate } from '../../src/metrics/translate.ts';
import { readModel } from '../../src/onnx/index.ts';
import { writeModel } from '../../src/onnx/write-file.ts';
import { xform } from '../helpers/cli.ts';
import { parseModel } from '../helpers/parse.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform-texts-'));
const at = (name: string) => join(folder, name);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Report {
  readonly metrics: Readonly<Record<string, number>>;
  readonly warnings: readonly { readonly code: string }[];
  readonly error?: { readonly code: string; readonly message: string };
}

async function report(...args: string[]): Promise<Report> {
  const run = await xform([...args, '--json']);
  return JSON.parse(run.stdout) as Report;
}

const linesOf = (name: string) => readFileSync(at(name), 'utf8').split('\n').slice(0, -1);

/** Bytes, then <pad>, <s> and </s>. */
const [PAD, END, VOCABULARY] = [256, 258, 259];
/** Letters in capitals; what is said behind the last one is the end. */
const CAPITALS = Array.from({ length: VOCABULARY }, (_, id) => {
  if (id === PAD) return END;
  return id >= 97 && id <= 122 ? id - 32 : id;
});

const WEIGHTS = `int64[${VOCABULARY}] table = {${CAPITALS}}, int64 depth = {${VOCABULARY}},
  float[2] off_on = {0, 9}, int64[1] zero = {0}, int64[1] one = {1}, int64[1] two = {2},
  int64[1] three = {3}, int64[4] column = {0, 1, -1, 1}`;

/** An encoder-decoder that says its source in capitals, in one graph. */
const WHOLE = `g (int64[batch, source] input_ids, int64[batch, target] decoder_input_ids)
=> (float[batch, target, ${VOCABULARY}] logits)
<${WEIGHTS}>
{
  said = Gather(table, input_ids)
  read = Shape(decoder_input_ids)
  length = Slice(read, one, two)
  own = Slice(said, zero, length, one)
  logits = OneHot(own, depth, off_on)
}`;

/** The same with a cache, of which it needs to know only how long it is. */
const CACHED = `g (int64[batch, source] input_ids, int64[batch, target] decoder_input_ids,
  float[batch, 1, past, 1] past)
=> (float[batch, target, ${VOCABULARY}] logits, float[batch, 1, total, 1] present)
<${WEIGHTS}>
{
  said = Gather(table, input_ids)
  before = Shape(past)
  known = Slice(before, two, three)
  read = Shape(decoder_input_ids)
  length = Slice(read, one, two)
  all = Add(known, length)
  own = Slice(said, known, all, one)
  logits = OneHot(own, depth, off_on)
  new = Cast<to = 1>(decoder_input_ids)
  more = Reshape(new, column)
  present = Concat<axis = 2>(past, more)
}`;

const ENCODER = `g (int64[batch, source] input_ids) => (float[batch, source, 1] last_hidden_state)
<${WEIGHTS}, int64[1] last = {2}>
{
  said = Gather(table, input_ids)
  states = Cast<to = 1>(said)
  last_hidden_state = Unsqueeze(states, last)
}`;

const DECODER = `g (int64[batch, target] input_ids, float[batch, source, 1] encoder_hidden_states)
=> (float[batch, target, ${VOCABULARY}] logits)
<${WEIGHTS}, int64[1] last = {2}>
{
  read = Shape(input_ids)
  length = Slice(read, one, two)
  states = Squeeze(encoder_hidden_states, last)
  said = Cast<to = 7>(states)
  own = Slice(said, zero, length, one)
  logits = OneHot(own, depth, off_on)
}`;

/** Where an answer begins: '<', or surer '{'; where it ends: '>' or '}'. */
const ENDS = `int64[1] shape = {256}`;
const logitsAt = (marks: Readonly<Record<string, number>>) =>
  Array.from({ length: 256 }, (_, id) => marks[String.fromCharCode(id)] ?? -1);
const FINDER = `g (int64[batch, seq] input_ids, int64[batch, seq] attention_mask)
=> (float[batch, seq] start_logits, float[batch, seq] end_logits)
<${ENDS}, float[256] starts = {${logitsAt({ '<': 3, '{': 5, '?': 9, '!': 0.5 })}},
  float[256] ends = {${logitsAt({ '>': 3, '}': 5, '?': 9, '!': 0.5 })}}>
{
  start_logits = Gather(starts, input_ids)
  end_logits = Gather(ends, input_ids)
}`;

const write = (name: string, text: string, change: (model: Model) => void = () => {}) => {
  const model = parseModel(text);
  change(model);
  return writeModel(model, at(name));
};

describe('translation', () => {
  const data = () => `${at('a.txt')},${at('b.txt')}`;
  const judgeWith = (tokenizer: string, model: string, ...flags: string[]) =>
    report(
      ...['eval', at(model), '--task', 'translate', '--data', data(), '--resamples', '20'],
      ...['--tokenizer', tokenizer, '--seq', '24', '--batch', '2', ...flags],
    );
  const judge = (model: string, ...flags: string[]) => judgeWith(at('bytes.json'), model, ...flags);

  beforeAll(async () => {
    await write('whole.onnx', WHOLE);
    await write('encoder.onnx', ENCODER);
    await write('decoder.onnx', DECODER);
    await write('cached.onnx', CACHED, ({ graph }) => {
      const [past] = graph.inputs.filter(({ name }) => name === 'past');
      const [present] = graph.outputs.filter(({ name }) => name === 'present');
      if (past) past.name = 'past_key_values.0.decoder.key';
      if (present) present.name = 'present.0.decoder.key';
    });
    writeFileSync(at('a.txt'), 'a dog runs\n\na man, two dogs.\nthe end of a day\n');
    writeFileSync(at('b.txt'), 'A DOG RUNS\n\nA MAN AND 2 DOGS.\nTHE END OF THE DAY\n');
    const kind = ['--kind', 'byte', '--special', '<pad>,<s>,</s>'];
    await xform(['data', 'tokenizer', '--train', at('a.txt'), ...kind, '-o', at('bytes.json')]);
  });

  it('is written, kept, and scored as it is kept', async () => {
    const { metrics } = await judge('whole.onnx', '--predictions', at('c.txt'), '--no-bench');
    const written = ['A DOG RUNS', '', 'A MAN, TWO DOGS.', 'THE END OF A DAY'];
    expect(linesOf('c.txt')).toEqual(written);
    const scores = new Translate();
    scores.add(
      written,
      linesOf('b.txt').map((line) => [line]),
    );
    const expected = scores.finish().compute();
    expect(expected.bleu).toBeGreaterThan(0);
    expect({ bleu: metrics.bleu, chrf: metrics.chrf }).toEqual(expected);
  });

  it('is the same with beams, with a cache, and in two files', async () => {
    const { metrics } = await judge('whole.onnx', '--beams', '3');
    expect(metrics.latency_ms).toBeDefined();
    const halves = ['--encoder', at('encoder.onnx')];
    for (const [model, ...flags] of [['cached.onnx'], ['cached.onnx', '--beams', '2']]) {
      const cached = await judge(model as string, ...flags);
      expect(cached.metrics.bleu).toBe(metrics.bleu);
      expect(cached.warnings.map(({ code }) => code)).toContain('not-timed');
    }
    const both = await judge('decoder.onnx', ...halves);
    expect(both.metrics.bleu).toBe(metrics.bleu);
  });

  it('ends where it has to', async () => {
    await judge('whole.onnx', '--max-tokens', '5', '--predictions', at('c.txt'), '--no-bench');
    expect(linesOf('c.txt')).toEqual(['A DOG', '', 'A MAN', 'THE E']);
  });

  it('needs a token that ends texts, and a model that writes', async () => {
    const bare = await judgeWith('byte', 'whole.onnx');
    expect(bare.error?.code).toBe('generate-end');
    const half = await judge('encoder.onnx');
    expect(half.error?.code).toBe('generate-decoder');
  });
});

describe('answers', () => {
  const ask = (question: string, ...answers: string[]) => {
    return { id: question, question, answers: answers.map((text) => ({ text, answer_start: 0 })) };
  };
  const squad = (...paragraphs: object[]) => JSON.stringify({ data: [{ title: 't', paragraphs }] });
  const judge = (data: string, ...flags: string[]) =>
    report(
      ...['eval', at('finder.onnx'), '--task', 'qa', '--data', at(data), '--tokenizer', 'byte'],
      ...['--seq', '64', '--resamples', '20', '--predictions', at('found.txt'), ...flags],
      '--no-bench',
    );
  const LONG = `${'it is long and says nothing, '.repeat(3)}then {the end} of it > and on`;

  beforeAll(() => write('finder.onnx', FINDER));

  it('are found in the context, however long, and not in the question', async () => {
    const short = {
      context: 'a > b <c d> e',
      qas: [ask('which?', '<c d>'), ask('what <x>?', 'd e', 'x')],
    };
    writeFileSync(at('squad.json'), squad(short, { context: LONG, qas: [ask('where?', 'end')] }));
    const { metrics } = await judge('squad.json');
    expect(linesOf('found.txt')).toEqual(['<c d>', '<c d>', '{the end}']);
    expect(metrics.samples).toBe(3);
    // Half of "c d" is in "d e"; articles and punctuation do not count.
    expect(metrics.exact_match).toBeCloseTo(2 / 3, 12);
    expect(metrics.f1).toBeCloseTo((1 + 0.5 + 1) / 3, 12);
  });

  it('may be that there is none, where the data has such questions', async () => {
    const context = 'nothing is marked here';
    writeFileSync(at('two.json'), squad({ context, qas: [ask('! so?'), ask('! no?', 'here')] }));
    const { metrics } = await judge('two.json');
    // Both ends at the first token, '!', are surer than any token of the context.
    expect(linesOf('found.txt')).toEqual(['', '']);
    expect(metrics).toMatchObject({ exact_match: 0.5, f1: 0.5 });
    writeFileSync(at('one.json'), squad({ context, qas: [ask('! no?', 'here')] }));
    await judge('one.json');
    expect(linesOf('found.txt')).toEqual(['n']);
  });

  it('come from tables, with --limit counting questions', async () => {
    const row = (question: string, answers: unknown) =>
      JSON.stringify({ question, context: LONG, answers });
    const rows = [row('a?', { text: ['the end'] }), row('b?', 'end'), row('c?', ['no', 'the end'])];
    writeFileSync(at('rows.jsonl'), rows.map((line) => `${line}\n`).join(''));
    expect((await judge('rows.jsonl')).metrics).toMatchObject({ samples: 3, exact_match: 1 });
    expect((await judge('rows.jsonl', '--limit', '2')).metrics.samples).toBe(2);
    const renamed = rows.map((line) => line.replace('question', 'q').replace('answers', 'a'));
    writeFileSync(at('other.jsonl'), renamed.map((line) => `${line}\n`).join(''));
    const columns = ['--text', 'q', '--text-pair', 'context', '--label', 'a'];
    expect((await judge('other.jsonl', ...columns)).metrics.exact_match).toBe(1);
  });

  it('can be written', async () => {
    writeFileSync(
      at('say.jsonl'),
      '{"question": "say", "context": "abc", "answers": ["SAYABC"]}\n',
    );
    const { metrics } = await report(
      ...['eval', at('whole.onnx'), '--task', 'qa', '--data', at('say.jsonl'), '--seq', '16'],
      ...['--tokenizer', at('bytes.json'), '--predictions', at('found.txt')],
    );
    expect(linesOf('found.txt')).toEqual(['SAYABC']);
    expect(metrics.exact_match).toBe(1);
  });

  it('need a question that leaves room, and outputs that say where', async () => {
    writeFileSync(at('long.json'), squad({ context: 'a', qas: [ask('a'.repeat(64), 'a')] }));
    expect((await judge('long.json')).error?.message).toContain('leaves no room');
    const other = await report(
      ...['eval', at('encoder.onnx'), '--task', 'qa', '--data', at('squad.json')],
      ...['--tokenizer', 'byte', '--seq', '64'],
    );
    expect(other.error?.code).toBe('no-span-outputs');
  });
});

describe('words, then classes', () => {
  const SIZES = [
    '--vocab',
    '260',
    '--hidden',
    '16',
    '--layers',
    '1',
    '--heads',
    '2',
    '--seq',
    '12',
  ];
  const train = (from: string, to: string, ...flags: string[]) =>
    report(
      ...['train', at(from), '-o', at(to), '--data', at('lines.txt'), '--label', '0'],
      ...['--tokenizer', 'byte', '--seq', '12', '--batch', '8', ...flags],
    );

  beforeAll(async () => {
    const words = ['good', 'fine', 'bad', 'poor'];
    const lines = Array.from({ length: 32 }, (_, i) => `${i % 4 < 2 ? 1 : 0} ${words[i % 4]} ${i}`);
    writeFileSync(at('lines.txt'), lines.map((line) => `${line}\n`).join(''));
    const mlm = ['init', 'bert', '--head', 'mlm', '--mlp-dim', '32', ...SIZES];
    await xform([...mlm, '-o', at('plain.onnx')]);
    await xform([...mlm, '--dropout', '0.4', '-o', at('dropping.onnx')]);
  });

  it('drops while it trains, and only then', async () => {
    const flags = ['--objective', 'mlm', '--steps', '1', '--lr', '0', '--val', at('lines.txt')];
    const loss = async (name: string) => {
      const { metrics } = (await train(name, 'o.onnx', ...flags)) as unknown as {
        metrics: { loss: number; validation: { loss: number } };
      };
      return [metrics.loss, metrics.validation.loss];
    };
    const [plain, dropping] = [await loss('plain.onnx'), await loss('dropping.onnx')];
    expect(dropping[0]).not.toBe(plain[0]);
    expect(dropping[1]).toBe(plain[1]);
  });

  it('gives a model of words a head for classes', async () => {
    const words = ['--objective', 'mlm', '--steps', '4', '--label-smoothing', '0.1'];
    expect((await train('dropping.onnx', 'words.onnx', ...words)).error).toBeUndefined();
    const flags = ['--head', 'classify:2', '--epochs', '12', '--lr', '0.01'];
    expect((await train('words.onnx', 'classes.onnx', ...flags)).error).toBeUndefined();
    const { graph } = readModel(at('classes.onnx'));
    expect(graph.outputs.map(({ name, shape }) => [name, shape?.length, shape?.[1]])).toEqual([
      ['logits', 2, 2],
    ]);
    const names = [...graph.initializers].map(({ name }) => name);
    expect(names).toContain('classifier.weight');
    expect(names).toContain('encoder.layer.0.output.LayerNorm.weight');
    // What served words alone is gone.
    expect(names.filter((name) => name.startsWith('cls.'))).toEqual([]);
    const judged = await report(
      ...['eval', at('classes.onnx'), '--data', at('lines.txt'), '--label', '0'],
      ...['--tokenizer', 'byte', '--seq', '12', '--no-bench'],
    );
    expect(judged.metrics.accuracy).toBe(1);
  });
});
