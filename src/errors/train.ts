// Errors of training. Exit code 3: the model cannot be trained as it is.

import { XformError } from './error.ts';

interface Place {
  readonly op: string;
  describe(): string;
}

const SHOWN = 5;

/** An operator without a gradient on the way from weights to the loss. */
export function cutOff(node: Place, weights: readonly string[]): XformError {
  const shown = weights.slice(0, SHOWN).map((name) => `"${name}"`);
  const rest = weights.length > SHOWN ? ` and ${weights.length - SHOWN} more` : '';
  return new XformError({
    kind: 'model',
    code: 'no-gradient',
    message: `"${node.op}" has no gradient, so what is before it cannot be trained: ${shown.join(', ')}${rest}`,
    where: node.describe(),
    hint: 'Freeze these weights with --freeze, or replace the node.',
  });
}

export function gradientNeedsShape(node: Place, value: string): XformError {
  return new XformError({
    kind: 'model',
    code: 'gradient-needs-shape',
    message: `the gradient of "${node.op}" needs the shape of "${value}", which is not known before the run`,
    where: node.describe(),
    hint: 'Fix open dimensions with --set NAME=VALUE.',
  });
}

export function noGradientOfForm(node: Place, form: string): XformError {
  return new XformError({
    kind: 'model',
    code: 'no-gradient',
    message: `${form} has no gradient`,
    where: node.describe(),
    hint: 'Freeze what is before it with --freeze, or replace the node.',
  });
}
