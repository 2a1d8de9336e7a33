// COCO annotations: an instances.json, with the images in a folder. Boxes are given twice: in pixels of
// the model's input, to train on, and in pixels of the image as COCO has them, to score against.
// Format: cocodataset.org, "Data format", object detection.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { brokenFile, dataProblem } from '../../errors/data.ts';
import { usageProblem } from '../../errors/usage.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { BadSamples } from '../bad-samples.ts';
import { arrayDataset } from '../batch.ts';
import { enoughOf } from '../choice.ts';
import type { Dataset } from '../dataset.ts';
import type { DataKind, DataRequest } from '../kind.ts';
import { type ArraySource, BytesSource, StoredArray } from '../source.ts';
import { AS_IT_IS, imageInput, openImages, readableImages } from './array.ts';
import { type Geometry, place } from './geometry.ts';

interface Annotation {
  readonly image_id: number;
  readonly category_id: number;
  /** x, y of the corner, width, height. */
  readonly bbox: readonly [number, number, number, number];
  readonly area?: number;
  readonly iscrowd?: number;
}

interface Instances {
  readonly images: readonly { id: number; file_name: string; width: number; height: number }[];
  readonly annotations: readonly Annotation[];
  readonly categories: readonly { id: number; name: string }[];
}

type Picture = Instances['images'][number] & { readonly path: string };

export const coco: DataKind = {
  summary: 'COCO annotations (instances.json) with --images DIR',
  matches: (path, isFolder) => !isFolder && /\.json$/i.test(path),
  async open(request): Promise<Dataset> {
    const { path, inputs, options } = request;
    if (options.augment) {
      throw usageProblem('--augment moves pixels, and the boxes of COCO data would stay behind');
    }
    const found = readInstances(path);
    const bad = new BadSamples(options);
    const pictures = await findPictures(found, request, bad);
    const files = pictures.map((picture) => picture.path);
    const geometry = detectorGeometry(request);
    const images = await openImages(files, inputs, { ...options, geometry });
    const classes = [...found.categories].sort((a, b) => a.id - b.id);
    const sources = [images, ...targetsOf(path, pictures, found, geometry)];
    const notes = [images.text, `${classes.length} classes`];
    const names = classes.map(({ name }) => name);
    const nameOf = (row: number) => files[row] ?? '';
    return arrayDataset(path, sources, inputs, options, { notes, classes: names, bad, nameOf });
  },
};

function readInstances(path: string): Instances {
  let found: Partial<Instances>;
  try {
    found = JSON.parse(readFileSync(path, 'utf8')) as Partial<Instances>;
  } catch (error) {
    throw brokenFile(path, `this is not JSON: ${(error as Error).message}`);
  }
  const { images, annotations, categories } = found;
  if (!Array.isArray(images) || !Array.isArray(annotations) || !Array.isArray(categories)) {
    throw brokenFile(path, 'COCO annotations have "images", "annotations" and "categories"');
  }
  return { images, annotations, categories };
}

/** Images that are there. Some missing is an error, unless what is broken may be skipped. */
async function findPictures(
  { images }: Instances,
  { path, options }: DataRequest,
  bad: BadSamples,
): Promise<Picture[]> {
  if (options.images === undefined) {
    throw usageProblem(
      'annotations name images, but not their folder',
      'Give it with --images DIR.',
    );
  }
  const folder = options.images;
  const pictures = images.map((one) => ({ ...one, path: join(folder, one.file_name) }));
  const isThere = pictures.map((picture) => existsSync(picture.path));
  const there = pictures.filter((_, i) => isThere[i]);
  const missing = pictures.filter((_, i) => !isThere[i]);
  const [first] = missing;
  if (first && (!options.skipBad || there.length === 0)) {
    throw dataProblem(
      `${missing.length} of ${images.length} images are not in "${folder}", such as ${first.file_name}`,
      path,
      'Give their folder with --images, or leave them out with --skip-bad.',
    );
  }
  for (const picture of missing) bad.add(brokenFile(picture.path, 'there is no such image'));
  return options.skipBad ? readableImages(there, bad, enoughOf(options)) : there;
}

/** What detectors commonly take, to look at the data without one. */
const OWN_SIZE = { width: 640, height: 640 };

/** Letterboxed to the model's size, unless told otherwise. */
function detectorGeometry({ inputs, options, path }: DataRequest): Geometry {
  const { geometry = { ...AS_IT_IS, fit: 'letterbox', pad: 114 } } = options;
  if (geometry.crop) throw usageProblem('--crop would cut boxes of COCO data away');
  if (geometry.resize) return geometry;
  if (!inputs) return { ...geometry, resize: OWN_SIZE };
  const sizes = imageInput(inputs)?.shape.filter((dim) => typeof dim === 'number' && dim > 4) ?? [];
  const [height, width] = sizes as number[];
  if (height === undefined || width === undefined) {
    throw dataProblem(
      'the model leaves the size of its images open',
      path,
      'Give it, as in --resize 416 --fit letterbox.',
    );
  }
  const fit = geometry.fit === 'short' ? 'stretch' : geometry.fit;
  return { ...geometry, fit, resize: { width, height } };
}

/**
 * `boxes` [N, M, 5]: class, centre x, centre y, width, height in pixels of the input. `truth` [N, M, 7]:
 * class, x, y, width, height, area in pixels of the image, crowd or not. `placement` [N, 6]: width and
 * height of the image, horizontal and vertical scale, left and top of its corner. -1 where an image has
 * fewer than M boxes.
 */
function targetsOf(
  path: string,
  pictures: readonly Picture[],
  { annotations, categories }: Instances,
  geometry: Geometry,
): ArraySource[] {
  const classOf = new Map([...categories].sort((a, b) => a.id - b.id).map(({ id }, i) => [id, i]));
  const byImage = new Map<number, Annotation[]>();
  for (const one of annotations) {
    if (!classOf.has(one.category_id)) {
      throw brokenFile(path, `there is no category ${one.category_id}, which an annotation has`);
    }
    byImage.set(one.image_id, [...(byImage.get(one.image_id) ?? []), one]);
  }
  const most = Math.max(1, ...pictures.map(({ id }) => byImage.get(id)?.length ?? 0));
  const boxes = new Float32Array(pictures.length * most * 5).fill(-1);
  const truth = new Float64Array(pictures.length * most * 7).fill(-1);
  const placement = new Float64Array(pictures.length * 6);
  pictures.forEach((picture, i) => {
    const { scaled, left, top } = place(picture, geometry);
    const [sx, sy] = [scaled.width / picture.width, scaled.height / picture.height];
    placement.set([picture.width, picture.height, sx, sy, left, top], i * 6);
    let kept = 0;
    (byImage.get(picture.id) ?? []).forEach((one, j) => {
      const [x, y, width, height] = one.bbox;
      const label = classOf.get(one.category_id) as number;
      const crowd = one.iscrowd ?? 0;
      truth.set(
        [label, x, y, width, height, one.area ?? width * height, crowd],
        (i * most + j) * 7,
      );
      // A crowd is not one thing: detectors are not trained on it.
      if (crowd) return;
      const centre = [(x + width / 2) * sx + left, (y + height / 2) * sy + top];
      boxes.set([label, ...centre, width * sx, height * sy], (i * most + kept++) * 5);
    });
  });
  const array = (
    name: string,
    dtype: 'float32' | 'float64',
    shape: number[],
    values: Float64Array | Float32Array,
  ) =>
    new StoredArray(
      { name, where: path, dtype, shape },
      new BytesSource(Tensor.of(dtype, shape, values).bytes()),
    );
  const count = pictures.length;
  return [
    array('boxes', 'float32', [count, most, 5], boxes),
    array('truth', 'float64', [count, most, 7], truth),
    array('placement', 'float64', [count, 6], placement),
  ];
}
