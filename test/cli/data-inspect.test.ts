// `xform data inspect`: every kind of data without a model, what is broken, what does not fit a model.

import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import sharp from 'sharp';
import { type Survey, survey } from '../../src/cli/data/survey.ts';
import { openDataset } from '../../src/data/open.ts';
import { npyBytes, npzBytes } from '../data/npy.ts';
import { xform } from '../helpers/cli.ts';
import { type DataCase, writeDatasets } from '../helpers/datasets.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform-data-inspect-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (...parts: string[]) => join(folder, ...parts);
const cases = await writeDatasets(folder);
const caseOf = (kind: string) => cases.find((one) => one.kind === kind) as DataCase;

const look = async (path: string, options: object = {}): Promise<Survey> =>
  survey(await openDataset(path, undefined, { seed: 0, ...options }));
const shapesOf = ({ inputs }: Survey) => inputs.map(({ name, shape }) => [name, shape]);

async function inspect(...args: string[]) {
  const run = await xform(['data', 'inspect', ...args, '--json']);
  return { ...run, report: JSON.parse(run.stdout) };
}

describe('data without a model', () => {
  it('is numbers with their range, or texts', async () => {
    const table = at('mixed.csv');
    writeFileSync(table, 'a,b,when,kind\n1,0.5,monday,x\n3,,sunday,y\n2,2.5,monday,x\n');
    const found = await look(table, { label: 'kind' });
    expect(shapesOf(found)).toEqual([
      ['a', []],
      ['b', []],
      ['when', [1]],
    ]);
    expect(found.inputs[0]?.range).toEqual({
      min: 1,
      max: 3,
      mean: [2],
      std: [expect.closeTo(Math.sqrt(2 / 3), 12)],
      missing: 0,
    });
    expect(found.inputs[1]?.range).toMatchObject({ min: 0.5, max: 2.5, mean: [1.5], missing: 1 });
    expect(found.inputs[2]?.range).toBeUndefined();
    expect(found.classes).toEqual([
      { label: 0, name: 'x', samples: 2 },
      { label: 1, name: 'y', samples: 1 },
    ]);
    expect(found.first[1]?.values).toMatchObject({ a: [3], when: ['sunday'], labels: [1] });
  });

  it('is images of one size, with the mean of each colour', async () => {
    const found = await look(caseOf('class folders').data);
    const [images] = found.inputs;
    expect(images).toMatchObject({ name: 'images', dtype: 'float32', shape: [8, 8, 3] });
    expect(images?.range?.mean).toHaveLength(3);
    expect(found.classes.map(({ name, samples }) => [name, samples])).toEqual([
      ['bird', 6],
      ['cat', 6],
    ]);
    expect(found.first[0]?.name).toMatch(/bird/);
    const bytes = await sharp(readFileSync(at('classes', 'bird', '0.png')))
      .raw()
      .toBuffer();
    expect(found.first[0]?.values['images']?.[0]).toBeCloseTo((bytes[0] as number) / 255, 6);
  });

  it('is images of several sizes', async () => {
    mkdirSync(at('sizes'));
    for (const width of [8, 16]) {
      const pixels = { create: { width, height: 8, channels: 3, background: 'red' } } as const;
      await sharp(pixels).toFile(at('sizes', `${width}.png`));
    }
    const dataset = await openDataset(at('sizes'), undefined, { seed: 0 });
    expect(dataset.summary).toContain('of 2 sizes, 8x8 to 16x8, stretched to 224x224');
    expect(shapesOf(await survey(dataset))).toEqual([['images', [224, 224, 3]]]);
  });

  it.each<[string, object, (string | number[])[][]]>([
    ['npy', {}, [['x', [4]]]],
    ['idx', {}, [['images', [8, 8]]]],
    ['coco', { limit: 1 }, [['images', [640, 640, 3]]]],
    ['wav', {}, [['sound', [64]]]],
    ['wav', { features: ['mel:4', 'fft=16', 'hop=8'] }, [['sound', [4, 9]]]],
    ['test data', {}, [['x', [4]]]],
    ['lines', { label: '0' }, [['1', [1]]]],
    // The longest text, and two special tokens.
    ['lines', { label: '0', tokenizer: 'byte' }, [['input_ids', [16]]]],
    ['text', {}, [['0', [1]]]],
    ['text', { tokenizer: 'char', seq: 10 }, [['input_ids', [10]]]],
    [
      'parallel',
      { tokenizer: 'byte' },
      [
        ['input_ids', [16]],
        ['decoder_input_ids', [16]],
      ],
    ],
  ])('is %s, %j', async (kind, options, shapes) => {
    const { data, flags } = caseOf(kind);
    const images = kind === 'coco' ? { images: flags[1] } : {};
    expect(shapesOf(await look(data, { ...images, ...options }))).toEqual(shapes);
  });

  it('is shown as text again', async () => {
    const found = await look(caseOf('text').data, { tokenizer: 'char', seq: 9 });
    expect(found.first.slice(0, 2).map(({ name }) => name)).toEqual(['sings at ', 'dawn\nsoft']);
  });

  it('is text, whatever the file is called, with a tokenizer', async () => {
    expect(shapesOf(await look(at('b.de'), { tokenizer: 'byte', seq: 10 }))).toEqual([
      ['input_ids', [10]],
    ]);
    await expect(look(at('b.de'))).rejects.toMatchObject({ code: 'data-kind-unknown' });
  });

  it('leaves arrays of other lengths alone', async () => {
    const floats = (...shape: number[]) =>
      npyBytes('<f4', shape, new Float32Array(shape.reduce((a, b) => a * b, 1)));
    writeFileSync(at('two.npz'), npzBytes({ train: floats(5, 2), test: floats(3, 2) }));
    expect(shapesOf(await look(at('two.npz')))).toEqual([['train', [2]]]);
  });
});

describe('what is broken', () => {
  it('is named and counted, all of it, and an error unless skipped', async () => {
    mkdirSync(at('broken', 'x'), { recursive: true });
    copyFileSync(at('classes', 'bird', '0.png'), at('broken', 'x', 'a.png'));
    const noise = Buffer.from(Array.from({ length: 64 * 64 * 3 }, (_, i) => (i * 7919) % 251));
    const whole = await sharp(noise, { raw: { width: 64, height: 64, channels: 3 } })
      .jpeg()
      .toBuffer();
    writeFileSync(at('broken', 'x', 'cut.jpg'), whole.subarray(0, whole.length / 2));
    writeFileSync(at('broken', 'x', 'none.webp'), 'not an image');
    const { code, stderr, report } = await inspect(at('broken'));
    expect(code).toBe(3);
    expect(stderr).toContain('2 samples cannot be used');
    expect(report.error.code).toBe('data-broken');
    const { bad, samples } = report.metrics;
    expect(samples).toBe(1);
    expect(bad.count).toBe(2);
    expect(bad.samples.map(({ where }: { where: string }) => where)).toEqual([
      at('broken', 'x', 'cut.jpg'),
      at('broken', 'x', 'none.webp'),
    ]);
    const skipped = await inspect(at('broken'), '--skip-bad');
    expect([skipped.code, skipped.report.metrics.bad.count]).toEqual([0, 2]);
  });

  it('may be a set of ONNX test data, an image of COCO, a row', async () => {
    const { data } = caseOf('test data');
    mkdirSync(join(data, 'test_data_set_99'));
    writeFileSync(join(data, 'test_data_set_99', 'input_0.pb'), Buffer.from([8, 4, 16, 255]));
    const sets = await openDataset(data, undefined, { seed: 0, skipBad: true });
    expect([sets.length, sets.bad?.count]).toEqual([12, 1]);
    rmSync(join(data, 'test_data_set_99'), { recursive: true });

    const coco = caseOf('coco');
    const images = at('few');
    mkdirSync(images);
    copyFileSync(at('flat', '0.png'), join(images, '0.png'));
    writeFileSync(join(images, '1.jpg'), 'not an image');
    const boxes = await openDataset(coco.data, undefined, { seed: 0, images, skipBad: true });
    expect([boxes.length, boxes.bad?.count]).toEqual([1, 11]);
    expect(boxes.bad?.kept.map(({ message }) => message)).toContain('there is no such image');

    writeFileSync(at('bad.csv'), 'a,b\n1,2\n3,4,5\n6,7\n');
    const rows = await openDataset(at('bad.csv'), undefined, { seed: 0, skipBad: true });
    expect([rows.length, rows.bad?.kept[0]?.where]).toEqual([2, `${at('bad.csv')}:3`]);
  });

  it('says so where nothing else is there', async () => {
    const { stderr, code } = await xform([
      'data',
      'inspect',
      at('few'),
      '--skip-bad',
      '--limit',
      '1',
    ]);
    expect([code, stderr]).toEqual([0, '']);
    rmSync(at('few', '0.png'));
    const none = await xform(['data', 'inspect', at('few'), '--skip-bad']);
    expect(none.code).toBe(3);
    expect(none.stderr).toMatch(/no samples that can be used: 1 bad skipped: .*1\.jpg/);
  });
});

describe('what does not fit a model', () => {
  it('is nothing', async () => {
    const { data, model, flags } = caseOf('csv');
    const { code, stdout } = await xform(['data', 'inspect', data, model, ...flags]);
    expect(code).toBe(0);
    expect(stdout).toContain('The data fits the model.');
    expect(stdout).toMatch(/x +float32 +\[4\]/);
  });

  it('is a shape, each that differs, with what to do', async () => {
    const { model } = caseOf('parallel');
    const ids = (...shape: number[]) =>
      npyBytes('<i8', shape, new BigInt64Array(shape.reduce((a, b) => a * b, 1)));
    const arrays = { input_ids: ids(3, 5), decoder_input_ids: ids(3, 6) };
    writeFileSync(at('ids.npz'), npzBytes(arrays));
    const { code, report } = await inspect(at('ids.npz'), model);
    expect([code, report.error.code]).toEqual([3, 'data-does-not-fit']);
    const messages = report.metrics.problems.map(({ message }: { message: string }) => message);
    expect(messages).toEqual([
      'the array is [3, 5], which does not fit input "input_ids" int64 [n, 8]',
      'the array is [3, 6], which does not fit input "decoder_input_ids" int64 [n, 8]',
    ]);
    expect(report.metrics.inputs.map(({ name }: { name: string }) => name)).toEqual([
      'input_ids',
      'decoder_input_ids',
    ]);
  });

  it('is a column, a tokenizer, a label', async () => {
    const { model } = caseOf('csv');
    writeFileSync(at('three.csv'), 'a,b,c,kind\n1,2,3,0\n');
    const columns = await inspect(at('three.csv'), model, '--label', 'kind');
    expect(columns.report.error.message).toContain('gives 3 feature columns');

    const texts = caseOf('lines');
    const missing = await inspect(texts.data, texts.model, '--label', '0');
    expect(missing.report.metrics.problems[0].code).toBe('tokenizer-missing');
    expect(missing.code).toBe(3);

    writeFileSync(at('five.csv'), 'a,b,c,d,kind\n1,2,3,4,0\n1,2,3,4,4\n1,2,3,4,-1\n');
    const labels = await inspect(at('five.csv'), model, '--label', 'kind');
    expect(labels.report.metrics.problems[0]).toMatchObject({
      code: 'data-label-range',
      message: 'there are labels (4) outside of 0 to 1, the scores of output "y"',
      hint: expect.stringContaining('--expand-classes 5'),
    });
  });

  it('may be the order of the classes', async () => {
    const { data } = caseOf('class folders');
    const { code, report } = await inspect(data, 'fixtures/digits.onnx');
    expect([code, report.metrics.problems]).toEqual([0, []]);
    expect(report.warnings).toMatchObject([{ code: 'classes-differ' }]);
  });

  it('needs a model for random numbers', async () => {
    expect((await xform(['data', 'inspect', 'random'])).code).toBe(2);
    const { code, report } = await inspect('random', caseOf('npz').model);
    expect([code, report.metrics.samples]).toEqual([0, undefined]);
  });
});
