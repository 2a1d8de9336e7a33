// Errors of generating text with a model. Exit code 3.

import { XformError } from './error.ts';

export function noLogits(found: readonly string[]): XformError {
  return new XformError({
    kind: 'model',
    code: 'generate-logits',
    message: `the model has no output "logits", but ${found.map((name) => `"${name}"`).join(', ')}`,
    hint: 'Text is generated with models that give logits [batch, tokens, vocabulary].',
  });
}
