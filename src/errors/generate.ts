// Errors of generating text with a model. Exit code 3.

import { XformError } from './error.ts';

export function noLogits(name: string, found: readonly string[]): XformError {
  return new XformError({
    kind: 'model',
    code: 'generate-logits',
    message: `the model has no output "${name}", but ${found.map((one) => `"${one}"`).join(', ')}`,
    hint: 'Text is generated with models that give logits [batch, tokens, vocabulary]; name theirs with --output.',
  });
}

export function noEnd(): XformError {
  return new XformError({
    kind: 'data',
    code: 'generate-end',
    message: 'the tokenizer has no token that ends a text, so that no text would end',
    hint: 'It is to be one of the names in use, as </s>, <eos> or [SEP].',
  });
}

export function notADecoder(inputs: readonly string[]): XformError {
  return new XformError({
    kind: 'model',
    code: 'generate-decoder',
    message: `the model has no input for the tokens that were written so far: its inputs are ${inputs.join(', ')}`,
    hint: 'An encoder-decoder model takes them as "decoder_input_ids"; of two files, give the decoder as the model and the other with --encoder.',
  });
}
