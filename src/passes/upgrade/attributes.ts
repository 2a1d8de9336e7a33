// Adapters for the commonest changes: attributes that were dropped, renamed, given another default,
// or became inputs.

import { type Attr, attr } from '../../graph/index.ts';
import { skip } from '../pass.ts';
import type { Adapter } from './adapter.ts';

/** Attributes that later versions do without. */
export function drop(...names: readonly string[]): Adapter {
  return (node) => {
    const present = names.filter((name) => node.attrs.has(name));
    for (const name of present) node.setAttr(name, undefined);
    return present.length > 0;
  };
}

/** Writes down what a missing attribute used to mean. */
export function keepDefault(name: string, value: Attr): Adapter {
  return (node) => {
    if (node.attrs.has(name)) return false;
    node.setAttr(name, value);
    return true;
  };
}

/** Integers move to an input; none or an empty list leaves the input out. */
export function intsToInput(name: string, index: number): Adapter {
  return (node, c) => {
    // Not `node.ints`: the largest integer, which stands for the end, has no exact number.
    const given = node.attrs.get(name);
    if (given?.type !== 'ints') return false;
    const values = given.value;
    node.setAttr(name, undefined);
    if (values.length > 0) node.setInput(index, c.ints(...values));
    return true;
  };
}

/** Words of an attribute get other names. */
export function renameWords(name: string, words: Readonly<Record<string, string>>): Adapter {
  return (node) => {
    const by = words[node.string(name) ?? ''];
    if (by === undefined) return false;
    node.setAttr(name, attr.string(by));
    return true;
  };
}

/** A float becomes an integer. */
export function toInt(name: string): Adapter {
  return (node) => {
    const value = node.float(name);
    if (value === undefined) return false;
    if (!Number.isInteger(value)) return skip(`its "${name}" is ${value}, no whole number`);
    node.setAttr(name, attr.int(value));
    return true;
  };
}

/** One adapter after the other, up to the first that refuses. */
export function inTurn(...adapters: readonly Adapter[]): Adapter {
  return (node, c) => {
    let changed = false;
    for (const adapter of adapters) {
      const result = adapter(node, c);
      if (typeof result === 'object') return result;
      changed ||= result === true;
    }
    return changed;
  };
}
