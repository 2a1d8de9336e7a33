// CIFAR-10 as folders of JPEGs, one per class: 10,000 to train on, 5,000 others to judge on.

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './machine.mjs';

const shared = process.env.XFORM_SHARED ?? join(root, '../shared');

export const sharedModel = (name) => join(shared, 'models', `${name}.onnx`);

/** Unpacks both parts into a folder, unless they are there; undefined where nobody has them. */
export function cifar(folder) {
  const parts = ['train10000', 'test'].map((part) =>
    join(shared, 'data', `cifar10_${part}.tar.gz`),
  );
  if (!parts.every(existsSync)) return undefined;
  const [train, test] = ['train', 'test'].map((part) => join(folder, part));
  if (!existsSync(test)) for (const file of parts) spawnSync('tar', ['xzf', file, '-C', folder]);
  return { train, test };
}
