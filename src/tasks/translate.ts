// Translation: what an encoder-decoder model writes for a source, against the target of the data.

import { noTarget } from '../errors/eval.ts';
import { Translate } from '../metrics/translate.ts';
import { textsOf } from './ports.ts';
import type { Task } from './task.ts';
import { sourceInputs, Writer } from './write.ts';

export const translate: Task = {
  name: 'translate',
  main: 'bleu',
  shown: ['bleu', 'chrf'],
  data(inputs, options) {
    const own = sourceInputs(inputs);
    // A cache is not in the data.
    const isWhole = inputs.every(
      ({ name }) => own.some((one) => one.name === name) || /^decoder_/.test(name),
    );
    return {
      inputs: own,
      options: { ...options, isWritten: true },
      timed: isWhole ? options : undefined,
    };
  },
  collector(input) {
    const writer = new Writer(input);
    const scores = new Translate();
    const texts: string[] = [];
    return {
      texts,
      async add(batch, run) {
        const references = batch.targets.get('references');
        if (!references) throw noTarget('translate', [...batch.targets.keys()]);
        const written = (await writer.write(batch, run)).map(oneLine);
        texts.push(...written);
        scores.add(
          written,
          textsOf(references).map((text) => [text]),
        );
      },
      finish: () => scores.finish(),
    };
  },
};

/** Texts are scored as they are kept, a line each. */
function oneLine(text: string): string {
  return text.replace(/\s*[\r\n]+\s*/g, ' ').trim();
}
