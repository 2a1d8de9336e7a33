import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import sharp from 'sharp';
import type { InputSpec } from '../../../src/data/dataset.ts';
import { augment, parseAugment } from '../../../src/data/image/augment.ts';
import { decode } from '../../../src/data/image/decode.ts';
import {
  FITS,
  type Geometry,
  parseSize,
  place,
  RESAMPLES,
} from '../../../src/data/image/geometry.ts';
import { readPreprocessor } from '../../../src/data/image/preprocess.ts';
import { openDataset } from '../../../src/data/open.ts';
import type { DataOptions } from '../../../src/data/options.ts';
import { symbol } from '../../../src/graph/index.ts';
import { elementsOf } from '../../../src/tensor/elements.ts';
import { Tensor } from '../../../src/tensor/tensor.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform-images-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const PLAIN: Geometry = { fit: 'short', resample: 'bilinear', pad: 0 };
const IMAGES: InputSpec = {
  name: 'images',
  dtype: 'float32',
  shape: [symbol('batch'), 3, 4, 6],
};

async function writeImage(path: string, width: number, height: number, pixel: PixelOf) {
  const data = Buffer.alloc(width * height * 3);
  for (let i = 0; i < width * height; i++) data.set(pixel(i % width, Math.floor(i / width)), i * 3);
  await sharp(data, { raw: { width, height, channels: 3 } }).toFile(path);
}

type PixelOf = (x: number, y: number) => number[];

const options = (extra: Partial<DataOptions> = {}): DataOptions => ({ seed: 0, ...extra });

async function firstBatch(path: string, extra: Partial<DataOptions> = {}, spec = IMAGES) {
  const dataset = await openDataset(path, [spec], options(extra));
  for await (const batch of dataset.batches(16)) return { dataset, batch };
  throw new Error('no batch');
}

describe('geometry', () => {
  it('rounds as torchvision does', () => {
    const geometry = {
      ...PLAIN,
      resize: parseSize('resize', '256'),
      crop: parseSize('crop', '224'),
    };
    expect(place({ width: 500, height: 375 }, geometry)).toEqual({
      scaled: { width: 341, height: 256 },
      left: -58,
      top: -16,
      output: { width: 224, height: 224 },
    });
  });

  it.each(FITS)('%s', (fit) => {
    const geometry = { ...PLAIN, fit, resize: parseSize('resize', '100x50') };
    const expected = {
      short: [{ width: 50, height: 100 }, 0, 0, { width: 50, height: 100 }],
      stretch: [{ width: 100, height: 50 }, 0, 0, { width: 100, height: 50 }],
      letterbox: [{ width: 25, height: 50 }, 0, 0, { width: 100, height: 50 }],
      'letterbox-centre': [{ width: 25, height: 50 }, 38, 0, { width: 100, height: 50 }],
    }[fit];
    const { scaled, left, top, output } = place({ width: 200, height: 400 }, geometry);
    expect([scaled, left, top, output]).toEqual(expected);
  });

  const reference = JSON.parse(
    readFileSync(new URL('resample.json', import.meta.url), 'utf8'),
  ) as Record<string, number[]>;

  it.each(RESAMPLES)('%s is what PIL, or torch, makes of it', async (resample) => {
    const path = join(folder, 'smooth.png');
    await writeImage(path, 40, 30, (x, y) =>
      [128 + 100 * Math.sin(x / 5), 6 * x, 128 + 90 * Math.cos(y / 4)].map(Math.round),
    );
    const found = await decode(
      path,
      { ...PLAIN, resample, resize: parseSize('resize', '16'), crop: parseSize('crop', '12') },
      3,
    );
    const expected = reference[resample] as number[];
    const errors = expected.map((value, i) => Math.abs(value - (found.data[i] as number)));
    expect(Math.max(...errors)).toBeLessThanOrEqual(resample.startsWith('nearest') ? 0 : 3);
  });
});

describe('folders of images', () => {
  const classes = join(folder, 'classes');
  const ready = (async () => {
    for (const [label, name] of ['bird', 'cat'].entries()) {
      mkdirSync(join(classes, name), { recursive: true });
      for (let i = 0; i < 3 - label; i++) {
        await writeImage(join(classes, name, `${i}.png`), 6, 4, (x, y) => [label * 100 + i, x, y]);
      }
    }
  })();

  it('takes the classes in turn, channels first, scaled to 1', async () => {
    await ready;
    const { dataset, batch } = await firstBatch(classes);
    expect(dataset.classes).toEqual(['bird', 'cat']);
    expect(batch.targets.get('labels')?.numbers()).toEqual([0, 1, 0, 1, 0]);
    const images = batch.feeds.get('images') as Tensor;
    expect(images.shape).toEqual([5, 3, 4, 6]);
    const values = elementsOf(images) as Float32Array;
    const red = [0, 1, 2, 3, 4].map((i) => Math.round((values[i * 72] as number) * 255));
    expect(red).toEqual([0, 100, 1, 101, 2]);
    expect((values[24 + 5] as number) * 255).toBeCloseTo(5);
    expect((values[48 + 18] as number) * 255).toBeCloseTo(3);
  });

  it('gives blue first, and grey, where the model wants that', async () => {
    await ready;
    const blue = await firstBatch(classes, { channels: 'bgr', scale: 255 });
    const values = elementsOf(blue.batch.feeds.get('images') as Tensor) as Float32Array;
    expect(values[48 + 72]).toBe(100);
    const grey: InputSpec = { ...IMAGES, shape: [symbol('batch'), 1, 4, 6] };
    const { batch } = await firstBatch(classes, {}, grey);
    expect(batch.feeds.get('images')?.shape).toEqual([5, 1, 4, 6]);
  });

  it('stretches images to the size of the model, and says so', async () => {
    await ready;
    const { dataset, batch } = await firstBatch(
      classes,
      {},
      {
        ...IMAGES,
        shape: [symbol('batch'), 3, 8, 8],
      },
    );
    expect(batch.feeds.get('images')?.shape).toEqual([5, 3, 8, 8]);
    expect(dataset.summary).toContain('stretched to 8x8');
  });

  it('reads labels.csv, by number and by name', async () => {
    const flat = join(folder, 'flat');
    mkdirSync(flat);
    for (const name of ['a.png', 'b.webp', 'c.jpg']) {
      await writeImage(join(flat, name), 6, 4, () => [9, 9, 9]);
    }
    writeFileSync(join(flat, 'labels.csv'), 'file,label\nc.jpg,7\na.png,3\n');
    const numbered = await firstBatch(flat);
    expect(numbered.batch.targets.get('labels')?.numbers()).toEqual([7, 3]);
    writeFileSync(join(flat, 'labels.csv'), 'c.jpg,dog\na.png,ape\n');
    const named = await firstBatch(flat);
    expect(named.batch.targets.get('labels')?.numbers()).toEqual([1, 0]);
    expect(named.dataset.classes).toEqual(['ape', 'dog']);
    writeFileSync(join(flat, 'labels.csv'), 'file,label\nc.jpg,7\nz.png,3\n');
    await expect(firstBatch(flat)).rejects.toThrow('there is no file "z.png"');
  });

  it('names a broken image, or skips it when told to', async () => {
    const broken = join(folder, 'broken');
    mkdirSync(join(broken, 'x'), { recursive: true });
    await writeImage(join(broken, 'x', 'a.png'), 6, 4, () => [1, 2, 3]);
    writeFileSync(join(broken, 'x', 'b.png'), 'not an image');
    await expect(firstBatch(broken)).rejects.toMatchObject({ where: join(broken, 'x', 'b.png') });
    const { dataset } = await firstBatch(broken, { skipBad: true });
    expect(dataset.length).toBe(1);
    expect(dataset.summary).toMatch(/1 bad skipped: .*b\.png/);
  });
});

describe('a Hugging Face preprocessor', () => {
  const read = (config: object) => {
    const path = join(folder, 'preprocessor_config.json');
    writeFileSync(path, JSON.stringify(config));
    return readPreprocessor(path);
  };

  it('of ViT', () => {
    expect(
      read({
        do_normalize: true,
        do_resize: true,
        image_mean: [0.5, 0.5, 0.5],
        image_std: [0.5, 0.5, 0.5],
        resample: 2,
        size: { height: 224, width: 224 },
      }),
    ).toEqual({
      geometry: {
        resample: 'bilinear',
        pad: 0,
        fit: 'stretch',
        resize: { width: 224, height: 224 },
        crop: undefined,
      },
      scale: 1,
      normalize: { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] },
    });
  });

  it('of ConvNeXT and of CLIP', () => {
    const convnext = read({ size: { shortest_edge: 224 }, crop_pct: 0.875, resample: 3 });
    expect(convnext.geometry).toMatchObject({
      resize: { width: 256, height: 256 },
      crop: { width: 224, height: 224 },
      resample: 'bicubic',
    });
    const clip = read({ size: 224, do_center_crop: true, crop_size: 224, do_rescale: false });
    expect(clip).toMatchObject({ geometry: { crop: { width: 224, height: 224 } }, scale: 255 });
  });
});

describe('augmentation', () => {
  const image = Tensor.of(
    'uint8',
    [1, 5, 5, 3],
    Array.from({ length: 75 }, (_, i) => i + 1),
  );
  const bytes = (tensor: Tensor) => [...(elementsOf(tensor) as Uint8Array)];

  it('is the same for a seed and a sample, and another for others', () => {
    const how = parseAugment('flip,shift=2,zoom=0.5,rotate=20,cutout=2,light=0.3,grey=0.2');
    const one = bytes(augment(image, [3], how, 7));
    expect(bytes(augment(image, [3], how, 7))).toEqual(one);
    expect(bytes(augment(image, [4], how, 7))).not.toEqual(one);
    expect(bytes(augment(image, [3], how, 8))).not.toEqual(one);
  });

  it('mirrors rows about half of the time', () => {
    const seeds = Array.from({ length: 200 }, (_, seed) => seed);
    const first = seeds.map((seed) => bytes(augment(image, [0], { flip: true }, seed))[0]);
    expect(new Set(first)).toEqual(new Set([1, 13]));
    const mirrored = first.filter((value) => value === 13).length;
    expect(mirrored).toBeGreaterThan(70);
    expect(mirrored).toBeLessThan(130);
  });

  it('shifts by whole pixels and fills with 0', () => {
    const corners = Array.from({ length: 100 }, (_, seed) =>
      bytes(augment(image, [0], { shift: 1 }, seed)).slice(0, 3),
    );
    // The pixel above and to the left is outside; the one below and to the right is the seventh.
    expect(corners).toContainEqual([0, 0, 0]);
    expect(corners).toContainEqual([19, 20, 21]);
    expect(corners).toContainEqual([1, 2, 3]);
  });

  it('does the same to channels first', () => {
    const first = Tensor.of(
      'uint8',
      [1, 3, 5, 5],
      Array.from({ length: 75 }, (_, i) => {
        const [c, pixel] = [Math.floor(i / 25), i % 25];
        return pixel * 3 + c + 1;
      }),
    );
    const how = parseAugment('flip,shift=2,rotate=30');
    const last = bytes(augment(image, [0], how, 5));
    const found = bytes(augment(first, [0], how, 5));
    expect(found.map((_, i) => last[(i % 25) * 3 + Math.floor(i / 25)])).toEqual(found);
  });

  it('refuses words it does not know', () => {
    expect(() => parseAugment('flip=2')).toThrow('not a value for --augment');
    expect(() => parseAugment('spin=2')).toThrow('not a value for --augment');
    expect(() => parseAugment('zoom=2')).toThrow('not a value for --augment');
  });
});

describe('COCO', () => {
  const json = join(folder, 'instances.json');
  const images = join(folder, 'coco');
  const ready = (async () => {
    mkdirSync(images);
    await writeImage(join(images, 'a.png'), 20, 10, () => [50, 60, 70]);
    writeFileSync(
      json,
      JSON.stringify({
        images: [{ id: 7, file_name: 'a.png', width: 20, height: 10 }],
        categories: [
          { id: 5, name: 'dog' },
          { id: 2, name: 'cat' },
        ],
        annotations: [
          { image_id: 7, category_id: 5, bbox: [2, 4, 6, 2], area: 11, iscrowd: 0 },
          { image_id: 7, category_id: 2, bbox: [0, 0, 20, 10], area: 200, iscrowd: 1 },
        ],
      }),
    );
  })();
  const input: InputSpec = { ...IMAGES, shape: [1, 3, 40, 40] };

  it('gives boxes in pixels of the input and of the image', async () => {
    await ready;
    const { dataset, batch } = await firstBatch(json, { images, scale: 255 }, input);
    expect(dataset.classes).toEqual(['cat', 'dog']);
    expect(batch.targets.get('boxes')?.numbers().slice(0, 6)).toEqual([1, 10, 10, 12, 4, -1]);
    expect(batch.targets.get('truth')?.numbers()).toEqual([
      ...[1, 2, 4, 6, 2, 11, 0],
      ...[0, 0, 0, 20, 10, 200, 1],
    ]);
    expect(batch.targets.get('placement')?.numbers()).toEqual([20, 10, 2, 2, 0, 0]);
    const values = elementsOf(batch.feeds.get('images') as Tensor) as Float32Array;
    expect([values[0], values[1600 - 1]]).toEqual([50, 114]);
  });

  it('needs the folder of the images, with all of them', async () => {
    await ready;
    await expect(firstBatch(json, {}, input)).rejects.toThrow('not their folder');
    await expect(firstBatch(json, { images: classesOf() }, input)).rejects.toThrow('1 of 1 images');
  });

  const classesOf = () => join(folder, 'classes');
});
