// A folder of images: class folders (the label is the folder), or files with a labels.csv beside them.

import { BadSamples } from '../bad-samples.ts';
import { arrayDataset } from '../batch.ts';
import { enoughOf } from '../choice.ts';
import type { Dataset } from '../dataset.ts';
import { hasFiles, labelArrays, listFiles } from '../files.ts';
import type { DataKind } from '../kind.ts';
import { openImages, readableImages } from './array.ts';
import { IMAGE_NAME } from './decode.ts';

const isImage = (name: string) => IMAGE_NAME.test(name);

export const imageFolder: DataKind = {
  summary: 'a folder of images: in class folders, or with labels.csv',
  matches: (path, isFolder) => isFolder && hasFiles(path, isImage),
  async open({ path, inputs, options }): Promise<Dataset> {
    const bad = new BadSamples(options);
    const { files: listed, classes } = listFiles(path, isImage, options, bad);
    // Without --skip-bad a broken image is an error when its turn comes.
    const files = options.skipBad ? await readableImages(listed, bad, enoughOf(options)) : listed;
    const paths = files.map((file) => file.path);
    const images = await openImages(paths, inputs, options);
    const notes = [images.text, classes ? `${classes.length} classes` : ''];
    const sources = [images, ...labelArrays(path, files)];
    const nameOf = (row: number) => paths[row] ?? '';
    return arrayDataset(path, sources, inputs, options, { notes, classes, bad, nameOf });
  },
};
