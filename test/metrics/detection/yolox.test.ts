// A real detector on real images, from outputs to average precision: YOLOX nano on COCO. pycocotools
// finds an AP of 0.315 and an AP50 of 0.521 on these images, resized by Pillow.

import { readFileSync } from 'node:fs';
import { expect, it } from '@jest/globals';
import sharp from 'sharp';
import { Detect, type Truth } from '../../../src/metrics/detect.ts';
import { decode, recogniseHead, toOriginal } from '../../../src/metrics/detection/decode.ts';
import { openSession } from '../../../src/runtime/session.ts';
import { elementsOf } from '../../../src/tensor/elements.ts';
import { Tensor } from '../../../src/tensor/tensor.ts';
import { sharedPath } from '../../helpers/shared.ts';

const SIDE = 416;
const model = sharedPath('models', 'yolox_nano.onnx');
const archive = sharedPath('data', 'coco96_val.tar');

/** The files of a tar archive: headers of 512 bytes, contents padded to 512. */
function filesOf(tar: Buffer): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  for (let at = 0; tar[at]; ) {
    const name = tar.toString('latin1', at, at + 100).replace(/\0.*/, '');
    const size = Number.parseInt(tar.toString('latin1', at + 124, at + 136), 8);
    files.set(name, tar.subarray(at + 512, at + 512 + size));
    at += 512 * (1 + Math.ceil(size / 512));
  }
  return files;
}

/** BGR planes from 0 to 255, in the top left corner of a grey square. */
async function letterbox(jpeg: Buffer) {
  const { width = 0, height = 0 } = await sharp(jpeg).metadata();
  const scale = Math.min(SIDE / width, SIDE / height);
  const [w, h] = [Math.trunc(width * scale), Math.trunc(height * scale)];
  const resize = { fit: 'fill', kernel: 'linear' } as const;
  const pixels = await sharp(jpeg).toColourspace('srgb').resize(w, h, resize).raw().toBuffer();
  const planes = new Float32Array(3 * SIDE * SIDE).fill(114);
  let from = 0;
  for (let y = 0; y < h; y++) {
    for (let at = y * SIDE; at < y * SIDE + w; at++) {
      for (let c = 2; c >= 0; c--) planes[c * SIDE * SIDE + at] = pixels[from++] ?? 0;
    }
  }
  const placement = { scale: [scale, scale], offset: [0, 0], size: { width, height } } as const;
  return { planes, placement };
}

interface Coco {
  readonly images: { readonly id: number; readonly file_name: string }[];
  readonly categories: { readonly id: number }[];
  readonly annotations: {
    readonly image_id: number;
    readonly category_id: number;
    readonly bbox: readonly [number, number, number, number];
    readonly area: number;
    readonly iscrowd: number;
  }[];
}

function truthsOf({ annotations, categories }: Coco, image: number): Truth[] {
  const ids = categories.map(({ id }) => id).sort((a, b) => a - b);
  return annotations
    .filter((row) => row.image_id === image)
    .map(({ bbox: [left, top, width, height], category_id, area, iscrowd }) => ({
      box: [left, top, left + width, top + height],
      class: ids.indexOf(category_id),
      area,
      isCrowd: iscrowd === 1,
    }));
}

(model && archive ? it : it.skip)('reaches the known precision of YOLOX nano', async () => {
  const files = filesOf(readFileSync(archive ?? ''));
  const names = [...files.keys()].sort();
  const json = files.get(names.find((name) => name.endsWith('.json')) ?? '');
  const coco: Coco = JSON.parse(json?.toString() ?? '');
  const size = { height: SIDE, width: SIDE };
  const session = await openSession(model ?? '');
  const detect = new Detect();
  for (const name of names.filter((file) => file.endsWith('.jpg'))) {
    const { planes, placement } = await letterbox(files.get(name) as Buffer);
    const input = Tensor.of('float32', [1, 3, SIDE, SIDE], planes);
    const results = await session.run(new Map([['images', input]]));
    const outputs = [...results].map(([output, tensor]) => {
      return { name: output, shape: tensor.shape, values: elementsOf(tensor) };
    });
    const [found = []] = decode(recogniseHead(outputs, size), outputs, { size });
    const image = coco.images.find(({ file_name }) => name.endsWith(file_name));
    const rows = found.map((detection) => toOriginal(detection, placement));
    detect.add(rows.flat(), truthsOf(coco, image?.id ?? -1));
  }
  await session.dispose();
  const { ap50 = 0, ap = 0 } = detect.finish().compute();
  expect(Math.abs(ap50 - 0.521)).toBeLessThan(0.01);
  expect(Math.abs(ap - 0.315)).toBeLessThan(0.01);
});
