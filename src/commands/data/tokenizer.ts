import { renameSync, writeFileSync } from 'node:fs';
import { Flags } from '@oclif/core';
import { BaseCommand } from '../../cli/base.ts';
import { trainBpe } from '../../data/bpe.ts';
import { linesOf } from '../../data/packed.ts';
import {
  byteFile,
  charFile,
  type TokenizerFile,
  vocabularySize,
} from '../../data/tokenizer-file.ts';
import { badFlagValue } from '../../errors/usage.ts';
import type { Outcome } from '../../report/report.ts';

const BYTES = 256;

export default class Tokenizer extends BaseCommand<typeof Tokenizer> {
  static override summary = 'Train a tokenizer on texts, and write it as a tokenizer.json';
  static override description =
    'bpe is byte-level byte-pair encoding, char has the characters of the texts, byte the 256 bytes. The file is ' +
    "Hugging Face's: give it to --tokenizer, or to other programs.";
  static override examples = [
    '<%= config.bin %> data tokenizer --train a.txt b.txt.gz --vocab 8000 -o tokenizer.json',
    '<%= config.bin %> data tokenizer --train train.txt val.txt --kind char -o tokenizer.json',
    '<%= config.bin %> data tokenizer --train a.txt --special "<pad>,<s>,</s>" -o tokenizer.json',
  ];
  static override flags = {
    train: Flags.string({
      summary: 'texts to train on (.txt, also .gz)',
      helpValue: 'FILE',
      multiple: true,
      required: true,
    }),
    output: Flags.string({
      char: 'o',
      summary: 'where to write the tokenizer',
      default: 'tokenizer.json',
      helpValue: 'FILE',
    }),
    kind: Flags.option({ options: ['bpe', 'char', 'byte'] as const })({
      summary: 'what tokens are',
      default: 'bpe',
    }),
    vocab: Flags.integer({ summary: 'tokens of bpe, at most', default: 8000, helpValue: 'N' }),
    special: Flags.string({
      summary: 'tokens that texts do not spell, as for padding and for ends',
      helpValue: 'A,B,C',
    }),
  };

  protected override async work(): Promise<Outcome> {
    const { output, train } = this.flags;
    const step = this.reporter.step(`training on ${train.length} texts`);
    const file = await this.#train();
    step.done();
    renameSync(writeBeside(output, JSON.stringify(file)), output);
    const tokens = vocabularySize(file);
    const merges = file.model.merges?.length ?? 0;
    const facts: [string, string | number][] = [
      ['tokens', tokens],
      ...(merges ? [['merges', merges] as [string, number]] : []),
      ['written', output],
    ];
    return { metrics: { tokens, merges }, blocks: [{ facts }] };
  }

  #train(): TokenizerFile | Promise<TokenizerFile> {
    const { kind, train, vocab } = this.flags;
    const special = (this.flags.special ?? '').split(',').filter(Boolean);
    if (kind === 'byte') return byteFile(special);
    if (kind === 'char') return charFile(linesOfAll(train), special);
    const least = BYTES + special.length;
    if (vocab >= least) return trainBpe(linesOfAll(train), { vocabulary: vocab, special });
    throw badFlagValue('vocab', String(vocab), `${least} or more: each byte is a token`);
  }
}

/** With their line ends. */
async function* linesOfAll(paths: readonly string[]): AsyncIterable<string> {
  for (const path of paths) for await (const { text, end } of linesOf(path)) yield text + end;
}

/** The path of a file beside `path` that holds the text. */
function writeBeside(path: string, text: string): string {
  const part = `${path}.part`;
  writeFileSync(part, text);
  return part;
}
