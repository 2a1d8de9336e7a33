// What the `origin` of models, graphs, nodes, values, attributes and tensors holds: where in the file
// they came from. The writer copies from there whatever the graph does not say otherwise.

import type { Attr, Type } from '../graph/index.ts';
import type { Field, Span } from './wire.ts';

/** Fields the graph does not hold, in file order. */
export class Leftovers {
  readonly fields: Field[] = [];
  /** Every field number seen, held or not: an empty string differs from none. */
  readonly seen = new Set<number>();

  /** Joins a field to the one before it, if both stand together; true if it stands alone. */
  add(field: Field): boolean {
    const last = this.fields.at(-1);
    const joins = last?.number === field.number && last.end === field.head;
    if (joins) this.fields[this.fields.length - 1] = { ...last, end: field.end };
    else this.fields.push(field);
    return !joins;
  }
}

export interface OpsetOrigin {
  readonly field: Field;
  readonly domain: string;
  readonly version: number;
}

export interface EntryOrigin {
  readonly field: Field;
  readonly key: string;
  readonly value: string;
}

export class ModelOrigin {
  readonly leftovers = new Leftovers();
  readonly opsets: OpsetOrigin[] = [];
  readonly metadata: EntryOrigin[] = [];
}

export class GraphOrigin {
  readonly leftovers = new Leftovers();
}

export class FunctionOrigin {
  readonly leftovers = new Leftovers();
  readonly opsets: OpsetOrigin[] = [];
}

export class NodeOrigin {
  readonly field: Field;

  constructor(field: Field) {
    this.field = field;
  }
}

/** The ValueInfoProtos of a value, and what they said. */
export class ValueOrigin {
  readonly name: string;
  /** The very type the reader gave the value: while it has it, nothing was inferred or changed. */
  type: Type | undefined;
  input: Field | undefined;
  readonly outputs: Field[] = [];
  info: Field | undefined;
  /** An initializer of a kind that xform does not interpret. */
  opaque: Field | undefined;

  constructor(name: string) {
    this.name = name;
  }
}

export class AttrOrigin {
  readonly field: Field;
  readonly name: string;
  /** The attribute as read: a copy with another value is another attribute. */
  attr: Attr | undefined;

  constructor(field: Field, name: string) {
    this.field = field;
    this.name = name;
  }
}

export class TensorOrigin {
  readonly span: Span & { readonly number: number; readonly head: number };
  readonly name: string;
  readonly isExternal: boolean;

  constructor(field: TensorOrigin['span'], name: string, isExternal: boolean) {
    this.span = field;
    this.name = name;
    this.isExternal = isExternal;
  }
}
