// Errors of data: files that cannot be read, arrays that do not fit the model. Exit code 3.

import { XformError } from './error.ts';

export function dataProblem(message: string, where?: string, hint?: string): XformError {
  return new XformError({
    kind: 'data',
    code: 'data-unusable',
    message,
    ...(where ? { where } : {}),
    ...(hint ? { hint } : {}),
  });
}

export function noSuchData(path: string): XformError {
  return new XformError({
    kind: 'data',
    code: 'data-not-found',
    message: `there is no file or folder "${path}"`,
    hint: 'Give a path that exists, or "random" for seeded noise.',
  });
}

export function unknownDataKind(path: string, kinds: readonly string[]): XformError {
  return new XformError({
    kind: 'data',
    code: 'data-kind-unknown',
    message: `"${path}" is not a kind of data xform reads`,
    hint: `Give one of: ${kinds.join('; ')}.`,
  });
}

/** A file that is not what its name says. */
export function brokenFile(path: string, what: string): XformError {
  return new XformError({ kind: 'data', code: 'data-broken', message: what, where: path });
}

/** A file, line or row that is one sample of many. */
export function brokenSample(where: string, what: string): XformError {
  return new XformError({
    kind: 'data',
    code: 'data-broken',
    message: what,
    where,
    hint: 'Mend or remove it, or leave out all that is broken with --skip-bad; xform data inspect names it.',
  });
}

export function unsupportedArray(where: string, what: string, hint: string): XformError {
  return new XformError({ kind: 'data', code: 'data-type', message: what, where, hint });
}

export function inputWithoutData(input: string, found: readonly string[], path: string) {
  const list = found.map((name) => `"${name}"`).join(', ');
  return new XformError({
    kind: 'data',
    code: 'data-input-missing',
    message: `the data has nothing for the model's input "${input}"`,
    where: `${path} holds ${list || 'no arrays'}`,
    hint: `Name an array "${input}" in it; "labels" and "y" are taken as targets.`,
  });
}

export function shapeDoesNotFit(
  where: string,
  found: readonly number[],
  input: string,
  wanted: string,
  hint?: string,
): XformError {
  return new XformError({
    kind: 'data',
    code: 'data-shape',
    message: `the array is [${found.join(', ')}], which does not fit input "${input}" ${wanted}`,
    where,
    hint: hint ?? 'The first axis counts samples; the others have to be those of the input.',
  });
}

export function typeDoesNotFit(where: string, found: string, input: string, wanted: string) {
  return new XformError({
    kind: 'data',
    code: 'data-type',
    message: `the array is ${found}, but input "${input}" takes ${wanted}`,
    where,
    hint: `Save it as ${wanted}.`,
  });
}

export function channelsDiffer(channels: number, shape: readonly number[]): XformError {
  return new XformError({
    kind: 'data',
    code: 'data-channels',
    message: `--normalize gives ${channels} means, but a sample is [${shape.join(', ')}]`,
    hint: 'Give one mean and deviation, or as many as the samples have channels.',
  });
}

export function noColours(shape: readonly number[]): XformError {
  return new XformError({
    kind: 'data',
    code: 'data-channels',
    message: `--channels bgr reorders three colours, but a sample is [${shape.join(', ')}]`,
  });
}

export function countsDiffer(
  path: string,
  a: readonly [name: string, count: number],
  b: readonly [name: string, count: number],
): XformError {
  return new XformError({
    kind: 'data',
    code: 'data-counts',
    message: `"${a[0]}" has ${a[1]} samples, but "${b[0]}" has ${b[1]}`,
    where: path,
    hint: 'All arrays have to agree in their first axis.',
  });
}

export function noSuchColumn(column: string, columns: readonly string[], path: string) {
  const list = columns.slice(0, 20).join(', ');
  return new XformError({
    kind: 'data',
    code: 'data-column-missing',
    message: `there is no column "${column}"`,
    where: path,
    hint: `The columns are: ${list}${columns.length > 20 ? ', …' : ''}.`,
  });
}

export function notANumber(where: string, column: string, cell: string): XformError {
  return new XformError({
    kind: 'data',
    code: 'data-not-a-number',
    message: `"${cell}" in column "${column}" is not a number`,
    where,
    hint: 'Choose the columns with --features, and the target with --label.',
  });
}

export function unknownClass(name: string, classes: readonly string[], where: string): XformError {
  const list = classes.slice(0, 20).join(', ');
  return new XformError({
    kind: 'data',
    code: 'data-class-unknown',
    message: `there is no class "${name}"`,
    where,
    hint: `The classes of --classes are: ${list}${classes.length > 20 ? ', …' : ''}.`,
  });
}

/** A character that a vocabulary of characters does not have. */
export function unknownCharacter(character: string, where: string): XformError {
  return new XformError({
    kind: 'data',
    code: 'data-character-unknown',
    message: `the vocabulary has no character ${JSON.stringify(character)}`,
    where,
    hint: 'Make one from all texts: xform data tokenizer --kind char --train A.txt B.txt -o tokenizer.json.',
  });
}

export function tokenizerMissing(): XformError {
  return new XformError({
    kind: 'usage',
    code: 'tokenizer-missing',
    message: 'text has to be made tokens, but no tokenizer is given',
    hint: 'Give --tokenizer with a tokenizer.json, char, or byte.',
  });
}

export function textInputMissing(inputs: readonly string[]): XformError {
  return new XformError({
    kind: 'data',
    code: 'data-input-missing',
    message: 'the model has no input that takes tokens ([batch, sequence])',
    where: `inputs ${inputs.map((name) => `"${name}"`).join(', ')}`,
  });
}

export function targetInputMissing(inputs: readonly string[]): XformError {
  return new XformError({
    kind: 'data',
    code: 'data-input-missing',
    message: 'the model has no input that takes the target, like "decoder_input_ids"',
    where: `inputs ${inputs.map((name) => `"${name}"`).join(', ')}`,
    hint: 'Leave out --text-target if it has no decoder.',
  });
}

export function tokenTooLarge(id: number, input: string, below: number): XformError {
  return new XformError({
    kind: 'data',
    code: 'data-token-unknown',
    message: `the tokenizer gives token ${id}, but input "${input}" takes those below ${below}`,
    hint: 'Give the tokenizer that the model was made for, with --tokenizer.',
  });
}

export function soundLengthOpen(input: string): XformError {
  return new XformError({
    kind: 'usage',
    code: 'sound-length-open',
    message: `input "${input}" takes sounds of any length`,
    hint: 'Say how long they are: --seconds 1, say. Longer ones are cut, shorter ones filled up with silence.',
  });
}

export function soundRatesDiffer(path: string, found: number, others: number): XformError {
  return new XformError({
    kind: 'data',
    code: 'data-rates',
    message: `the sound has ${found} samples a second, those before it ${others}`,
    where: path,
    hint: 'Bring all sounds to the rate that the model takes.',
  });
}

export function sequenceOpen(input: string): XformError {
  return new XformError({
    kind: 'usage',
    code: 'sequence-open',
    message: `input "${input}" takes any number of tokens`,
    hint: 'Say how many a sample has: --seq 128, say.',
  });
}

export function seqDiffers(asked: number, fixed: number): XformError {
  return new XformError({
    kind: 'usage',
    code: 'sequence-fixed',
    message: `the model takes ${fixed} tokens, not the ${asked} of --seq`,
    hint: 'Leave out --seq.',
  });
}

export function labelPatternFails(path: string, pattern: string): XformError {
  return new XformError({
    kind: 'data',
    code: 'data-label-missing',
    message: `--label-pattern "${pattern}" finds no label in the file's name`,
    where: path,
    hint: 'Put what is the label into parentheses, as in --label-pattern "^([0-9])_".',
  });
}

export function classLabelsMissing(): XformError {
  return new XformError({
    kind: 'usage',
    code: 'class-labels-missing',
    message: '--limit-per-class counts samples of each class, but the samples have no class',
    hint: 'Use --limit, or name the labels: an array "labels", class folders, or --label COLUMN.',
  });
}

export function badSamples(path: string, count: number, first: string): XformError {
  return new XformError({
    kind: 'data',
    code: 'data-broken',
    message:
      count === 1
        ? `a sample cannot be used: ${first}`
        : `${count} samples cannot be used, the first of them ${first}`,
    where: path,
    hint: 'Mend or remove them, or leave them out with --skip-bad.',
  });
}

export function dataDoesNotFit(
  path: string,
  model: string,
  first: string,
  count: number,
): XformError {
  const more = count > 1 ? `, and ${count - 1} more` : '';
  return new XformError({
    kind: 'data',
    code: 'data-does-not-fit',
    message: `the data does not fit "${model}": ${first}${more}`,
    where: path,
    hint: 'See "What does not fit the model" in the report.',
  });
}

export function labelsBeyondOutput(
  labels: readonly number[],
  output: string,
  scores: number,
): XformError {
  const list = `${labels.slice(0, 5).join(', ')}${labels.length > 5 ? ', …' : ''}`;
  const largest = labels.reduce((a, b) => Math.max(a, b), 0);
  return new XformError({
    kind: 'data',
    code: 'data-label-range',
    message: `there are labels (${list}) outside of 0 to ${scores - 1}, the scores of output "${output}"`,
    hint: `Name the classes in the order of the outputs with --classes, or widen the model: xform train --expand-classes ${largest + 1}.`,
  });
}

export function targetShapeDiffers(
  target: string,
  shape: readonly number[],
  output: string,
  scores: number,
): XformError {
  return new XformError({
    kind: 'data',
    code: 'data-target-shape',
    message: `target "${target}" is [${shape.join(', ')}] for a sample, but output "${output}" gives ${scores} numbers`,
    hint: 'Give one label per sample, or as many numbers as the output has.',
  });
}

export function noiseNeedsModel(): XformError {
  return new XformError({
    kind: 'usage',
    code: 'model-missing',
    message: 'random data has the shapes that a model takes, and no model was given',
    hint: 'Name one: xform data inspect random model.onnx.',
  });
}

/** `bad`: what was left out, where all that there was could not be used. */
export function emptyData(path: string, bad?: { readonly notes: readonly string[] }): XformError {
  const [skipped] = bad?.notes ?? [];
  return new XformError({
    kind: 'data',
    code: 'data-empty',
    message: skipped ? `there are no samples that can be used: ${skipped}` : 'there are no samples',
    where: path,
  });
}

export function questionTooLong(question: string, length: number): XformError {
  const start = question.length > 60 ? `${question.slice(0, 60)} …` : question;
  return dataProblem(
    `a question leaves no room for its context in ${length} tokens: "${start}"`,
    undefined,
    'Give more tokens with --seq, where the model allows it.',
  );
}
