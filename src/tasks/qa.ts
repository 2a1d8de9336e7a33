// Question answering: models that tell where in a context the answer begins and ends (BERT and its kin),
// or encoder-decoder models that write it.

import type { Batch } from '../data/dataset.ts';
import { noSpanOutputs, noTarget } from '../errors/eval.ts';
import type { Evaluation } from '../metrics/evaluation.ts';
import { QuestionAnswering } from '../metrics/qa.ts';
import type { Feeds } from '../tensor/feeds.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { isFloatOutput, numbersOf, textsOf } from './ports.ts';
import type { Collector, Run, Task, TaskInput } from './task.ts';
import { isDecoder, sourceInputs, Writer } from './write.ts';

/** Tokens of an answer that is found, at most: what the scripts for SQuAD take. */
const LONGEST = 30;

export const qa: Task = {
  name: 'qa',
  main: 'f1',
  shown: ['f1', 'exact_match'],
  data(inputs, given, hasEncoder) {
    const { text = 'question', textPair = 'context', label = 'answers' } = given;
    const options = { ...given, text, textPair, label };
    if (hasEncoder || isDecoder(inputs)) {
      return { inputs: sourceInputs(inputs), options: { ...options, questions: 'written' } };
    }
    const own = { ...options, questions: 'span' } as const;
    return { inputs, options: own, timed: own };
  },
  collector(input) {
    const isWritten = input.encoder !== undefined || isDecoder(input.model.graph.inputs);
    return isWritten ? new WrittenAnswers(input) : new FoundAnswers(input);
  },
};

class WrittenAnswers implements Collector {
  readonly texts: string[] = [];
  readonly #writer: Writer;
  readonly #scores = new QuestionAnswering();

  constructor(input: TaskInput) {
    this.#writer = new Writer(input);
  }

  async add(batch: Batch, run: Run): Promise<void> {
    const answers = rowsOfTexts(batch, 'answers');
    const written = await this.#writer.write(batch, run);
    written.forEach((text, i) => {
      this.texts.push(text);
      this.#scores.add(text, answers[i] ?? []);
    });
  }

  finish(): Evaluation {
    return this.#scores.finish();
  }
}

interface Found {
  readonly text: string;
  /** Sum of the logits of both ends. */
  readonly score: number;
}

/** What the windows of a question have come to. */
interface Asked {
  readonly answers: readonly string[];
  best: Found;
  /** The same for there being no answer: both ends at the first token. */
  none: number;
}

class FoundAnswers implements Collector {
  readonly #options: TaskInput['options'];
  readonly #asked = new Map<number, Asked>();

  constructor({ options }: TaskInput) {
    this.#options = options;
  }

  async add(batch: Batch, run: Run): Promise<void> {
    const { starts, ends } = spanLogits(await run(batch.feeds));
    const questions = numbersOf(targetOf(batch, 'question'));
    const places = numbersOf(targetOf(batch, 'places'));
    const contexts = rowsOfTexts(batch, 'context');
    const answers = rowsOfTexts(batch, 'answers');
    const length = places.length / batch.count / 2;
    for (let i = 0; i < batch.count; i++) {
      const own = (values: Float64Array) => values.subarray(i * length, (i + 1) * length);
      const [start, end] = [own(starts), own(ends)];
      const place = places.subarray(2 * i * length, 2 * (i + 1) * length);
      const span = bestSpan(start, end, place, this.#options.maxTokens ?? LONGEST);
      const text = span
        ? (contexts[i]?.[0] ?? '').slice(place[2 * span.from], place[2 * span.to + 1])
        : '';
      this.#keep(questions[i] as number, answers[i] ?? [], {
        best: { text: text.trim(), score: span?.score ?? Number.NEGATIVE_INFINITY },
        none: (start[0] as number) + (end[0] as number),
      });
    }
  }

  /** Of several windows the surest answer counts, and the least sure absence. */
  #keep(question: number, answers: readonly string[], found: Pick<Asked, 'best' | 'none'>): void {
    const asked = this.#asked.get(question);
    if (!asked) {
      this.#asked.set(question, { answers, ...found });
      return;
    }
    if (found.best.score > asked.best.score) asked.best = found.best;
    asked.none = Math.min(asked.none, found.none);
  }

  get texts(): string[] {
    const all = [...this.#asked.values()];
    // Without such questions in the data (SQuAD 1.1), models were not taught that there may be no answer.
    const someHaveNone = all.some(({ answers }) => answers.every((answer) => answer === ''));
    return all.map(({ best, none }) => (someHaveNone && none > best.score ? '' : best.text));
  }

  finish(): Evaluation {
    const scores = new QuestionAnswering();
    const { texts } = this;
    [...this.#asked.values()].forEach(({ answers }, i) => {
      scores.add(texts[i] ?? '', answers);
    });
    return scores.finish();
  }
}

interface Span {
  readonly from: number;
  readonly to: number;
  readonly score: number;
}

/** The likeliest first and last token, both of the context, first not behind last. */
export function bestSpan(
  starts: Float64Array,
  ends: Float64Array,
  places: Float64Array,
  longest: number,
): Span | undefined {
  const isInContext = (token: number) => (places[2 * token] as number) >= 0;
  let best: Span | undefined;
  for (let from = 0; from < starts.length; from++) {
    if (!isInContext(from)) continue;
    for (let to = from; to < Math.min(starts.length, from + longest); to++) {
      const score = (starts[from] as number) + (ends[to] as number);
      if (isInContext(to) && !(best && best.score >= score)) best = { from, to, score };
    }
  }
  return best;
}

/** [N, S] each: two outputs, or one [N, S, 2]. */
function spanLogits(outputs: Feeds): { starts: Float64Array; ends: Float64Array } {
  const named = (word: RegExp) =>
    [...outputs].find(([name, { shape }]) => word.test(name) && shape.length === 2)?.[1];
  const [start, end] = [named(/start/i), named(/end/i)];
  if (start && end) return { starts: numbersOf(start), ends: numbersOf(end) };
  const both = [...outputs.values()].find(
    (t) => isFloatOutput(t) && t.shape.length === 3 && t.shape[2] === 2,
  );
  if (!both) throw noSpanOutputs([...outputs.keys()]);
  const values = numbersOf(both);
  return {
    starts: values.filter((_, i) => i % 2 === 0),
    ends: values.filter((_, i) => i % 2 === 1),
  };
}

function targetOf({ targets }: Batch, name: string): Tensor {
  const found = targets.get(name);
  if (!found) throw noTarget('qa', [...targets.keys()]);
  return found;
}

function rowsOfTexts(batch: Batch, name: string): string[][] {
  const tensor = targetOf(batch, name);
  const texts = textsOf(tensor);
  const width = texts.length / batch.count;
  return Array.from({ length: batch.count }, (_, i) => texts.slice(i * width, (i + 1) * width));
}
