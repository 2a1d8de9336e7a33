// Which arrays are what a model shall say, and not what it is fed.

const NAMES = new Set(['labels', 'label', 'y', 'target', 'targets', 'boxes']);

export function isTarget({ name }: { readonly name: string }): boolean {
  return NAMES.has(name);
}
