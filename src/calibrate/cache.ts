// The calibration cache: what was seen of each value, in a JSON file beside a key of model, data and
// settings. A run that was stopped goes on at the batch where it stopped; a file that was made for
// something else is not used.

import { createHash } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { type Model, modelKey } from '../graph/index.ts';
import type { Progress } from './collect.ts';

interface CacheFile {
  readonly kind: typeof KIND;
  readonly version: 1;
  readonly key: string;
  readonly complete: boolean;
  readonly progress: Progress;
}

const KIND = 'xform-calibration';
/** Between two saves of a run that goes on. */
const SAVE_MS = 10_000;

export interface CacheEntry {
  readonly progress?: Progress | undefined;
  readonly complete: boolean;
  save(progress: Progress, complete: boolean): void;
}

export interface CacheOptions {
  readonly path: string;
  /** Everything about the data and its preparation that changes what is seen. */
  readonly data: string;
  /** Told when a file stands there that was made for something else. */
  readonly onStale: (path: string) => void;
}

export class CalibrationCache {
  readonly #options: CacheOptions;
  #saved = Date.now();

  constructor(options: CacheOptions) {
    this.#options = options;
  }

  async open(model: Model, names: readonly string[], histogram: boolean): Promise<CacheEntry> {
    const { path } = this.#options;
    const key = await this.#key(model, names, histogram);
    const found = read(path);
    if (found === 'other' || (found && found.key !== key)) this.#options.onStale(path);
    const usable = found !== 'other' && found?.key === key ? found : undefined;
    return {
      progress: usable?.progress,
      complete: usable?.complete ?? false,
      save: (progress, complete) => {
        const file: CacheFile = { kind: KIND, version: 1, key, complete, progress };
        writeFileSync(`${path}.part`, JSON.stringify(file));
        renameSync(`${path}.part`, path);
        this.#saved = Date.now();
      },
    };
  }

  /** Whether it is time to save what there is. */
  isDue(): boolean {
    return Date.now() - this.#saved > SAVE_MS;
  }

  /** Saves when the process ends before its time (Ctrl-C); returns how to call that off. */
  saveOnExit(save: () => void): () => void {
    process.once('exit', save);
    return () => process.off('exit', save);
  }

  async #key(model: Model, names: readonly string[], histogram: boolean): Promise<string> {
    const hash = createHash('sha256');
    hash.update(JSON.stringify([this.#options.data, [...names].sort(), histogram]));
    hash.update(await modelKey(model));
    return hash.digest('hex');
  }
}

function read(path: string): CacheFile | 'other' | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
  try {
    const file = JSON.parse(text) as CacheFile;
    return file.kind === KIND && file.version === 1 ? file : 'other';
  } catch {
    return 'other';
  }
}
