// What teachers say of all training samples, asked once and kept on disk: a folder for each question
// (teachers, data, tensors), with a .npy file per tensor (and epoch, where samples are augmented) that
// is written batch by batch, and an index.json that says what it is an answer to. A folder is renamed
// into place when it is complete, so that a run that was stopped leaves none behind.

import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { npyHeader, readNpy } from '../../data/npy.ts';
import type { ArraySource } from '../../data/source.ts';
import { teacherCacheNotWritten } from '../../errors/distill.ts';
import { modelKey } from '../../graph/index.ts';
import { byteLengthOf, elementCount } from '../../tensor/dtype.ts';
import type { Feeds } from '../../tensor/feeds.ts';
import type { ByteSource, Tensor } from '../../tensor/tensor.ts';
import type { InputOf } from '../../train/plan.ts';
import type { Lesson } from './teachers.ts';

/** What the answers depend on, part by part, so that a change can be named. */
interface Question {
  readonly teachers: readonly string[];
  readonly data: string;
  readonly tensors: readonly string[];
  /** Seed and number of the epochs, where each sees other samples. */
  readonly epochs: string;
}

export interface CachePlan {
  readonly folder: string;
  readonly lessons: readonly Lesson[];
  /** Identity of the data. */
  readonly data: string;
  readonly samples: number;
  /** One where every epoch sees the same samples. */
  readonly epochs: number;
  readonly seed: number;
  readonly isAugmented: boolean;
}

/** Bytes that the answers take. */
export function cacheBytes({ lessons, samples, epochs }: CachePlan): number {
  return samples * epochs * sampleBytes(lessons);
}

export function sampleBytes(lessons: readonly Lesson[]): number {
  const of = ({ dtype, shape }: InputOf) => byteLengthOf(dtype, elementCount(shape.slice(1)));
  return lessons.flatMap(({ fed }) => fed).reduce((sum, input) => sum + of(input), 0);
}

const KIND = 'xform-teacher-cache';
const INDEX = 'index.json';

/** The place of the answers to one question. */
export class CacheFolder {
  readonly #plan: CachePlan;
  readonly #question: Question;
  readonly path: string;

  private constructor(plan: CachePlan, question: Question) {
    this.#plan = plan;
    this.#question = question;
    const key = createHash('sha256').update(JSON.stringify(question)).digest('hex');
    this.path = join(plan.folder, key.slice(0, 16));
  }

  static async of(plan: CachePlan): Promise<CacheFolder> {
    const teachers: string[] = [];
    for (const { original } of plan.lessons) teachers.push(await modelKey(original));
    const { data, samples, epochs, seed, isAugmented } = plan;
    return new CacheFolder(plan, {
      teachers,
      data: createHash('sha256').update(`${samples} ${data}`).digest('hex'),
      tensors: tensorsOf(plan).map(
        ({ name, dtype, shape }) => `${name} ${dtype} ${shape.slice(1)}`,
      ),
      epochs: isAugmented ? `${epochs} of seed ${seed}` : '',
    });
  }

  get isComplete(): boolean {
    return existsSync(join(this.path, INDEX));
  }

  /** What is different from the answers that stand beside, in words; undefined: there are none. */
  difference(): string | undefined {
    const others = existsSync(this.#plan.folder) ? readdirSync(this.#plan.folder) : [];
    for (const name of others) {
      const other = questionAt(join(this.#plan.folder, name, INDEX));
      if (!other) continue;
      const parts = Object.keys(this.#question) as (keyof Question)[];
      const own = this.#question;
      return parts.filter((part) => `${own[part]}` !== `${other[part]}`).join(', ');
    }
    return undefined;
  }

  /** Takes the answers of each epoch, sample after sample, and puts them in place when all are there. */
  async write(
    answers: (epoch: number) => AsyncIterable<ReadonlyMap<string, Uint8Array>>,
  ): Promise<void> {
    const part = `${this.path}.${process.pid}.part`;
    const discard = () => rmSync(part, { recursive: true, force: true });
    process.once('exit', discard);
    try {
      mkdirSync(part, { recursive: true });
      for (let epoch = 0; epoch < this.#plan.epochs; epoch++) {
        await this.#writeEpoch(part, epoch, answers(epoch));
      }
      const index = { kind: KIND, version: 1, question: this.#question };
      writeFileSync(join(part, INDEX), `${JSON.stringify(index, null, 2)}\n`, { flush: true });
      if (!this.isComplete) renameSync(part, this.path);
    } catch (error) {
      const isOfFiles = (error as NodeJS.ErrnoException).errno !== undefined;
      throw isOfFiles ? teacherCacheNotWritten(this.path, `${error}`) : error;
    } finally {
      discard();
      process.off('exit', discard);
    }
  }

  async #writeEpoch(
    part: string,
    epoch: number,
    answers: AsyncIterable<ReadonlyMap<string, Uint8Array>>,
  ): Promise<void> {
    const { samples } = this.#plan;
    const files = new Map(
      tensorsOf(this.#plan).map(({ name, dtype, shape }, i) => {
        const file = openSync(join(part, fileName(i, epoch)), 'wx');
        writeSync(file, npyHeader(dtype, [samples, ...shape.slice(1)]));
        return [name, file] as const;
      }),
    );
    try {
      for await (const rows of answers) {
        for (const [name, bytes] of rows) writeAll(files.get(name) as number, bytes);
      }
      for (const file of files.values()) fsyncSync(file);
    } finally {
      for (const file of files.values()) closeSync(file);
    }
  }

  open(): TeacherCache {
    return new TeacherCache(this.path, tensorsOf(this.#plan), this.#plan.isAugmented);
  }
}

function writeAll(file: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
}

function questionAt(path: string): Question | undefined {
  try {
    const { kind, question } = JSON.parse(readFileSync(path, 'utf8')) as {
      kind: string;
      question: Question;
    };
    return kind === KIND ? question : undefined;
  } catch {
    return undefined;
  }
}

function tensorsOf({ lessons }: Pick<CachePlan, 'lessons'>): readonly InputOf[] {
  return lessons.flatMap(({ fed }) => fed);
}

function fileName(tensor: number, epoch: number): string {
  return `tensor-${tensor}.epoch-${epoch}.npy`;
}

/** The answers, read sample by sample. */
export class TeacherCache {
  readonly #folder: string;
  readonly #tensors: readonly InputOf[];
  readonly #isAugmented: boolean;
  readonly #open = new Map<string, { readonly bytes: OpenFile; readonly array: ArraySource }>();

  constructor(folder: string, tensors: readonly InputOf[], isAugmented: boolean) {
    this.#folder = folder;
    this.#tensors = tensors;
    this.#isAugmented = isAugmented;
  }

  /** What was said of these samples, by input of the training graph. */
  async take(samples: readonly number[], epoch: number): Promise<Feeds> {
    const feeds = new Map<string, Tensor>();
    for (const [i, { name }] of this.#tensors.entries()) {
      const array = this.#array(fileName(i, this.#isAugmented ? epoch : 0));
      feeds.set(name, await array.rows(samples));
    }
    return feeds;
  }

  close(): void {
    for (const { bytes } of this.#open.values()) bytes.close();
    this.#open.clear();
  }

  #array(name: string): ArraySource {
    const known = this.#open.get(name);
    if (known) return known.array;
    const path = join(this.#folder, name);
    const bytes = new OpenFile(path);
    const array = readNpy(bytes, name, path);
    this.#open.set(name, { bytes, array });
    return array;
  }
}

/** A file that stays open: single rows are read from it, thousands in a second. */
class OpenFile implements ByteSource {
  readonly byteLength: number;
  readonly #file: number;

  constructor(path: string) {
    this.byteLength = statSync(path).size;
    this.#file = openSync(path, 'r');
  }

  read(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; ) {
      const read = readSync(this.#file, bytes, at, length - at, offset + at);
      if (read === 0) break;
      at += read;
    }
    return bytes;
  }

  close(): void {
    closeSync(this.#file);
  }
}
