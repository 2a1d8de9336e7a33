// A fused node on its way to standard operators: what an opening may ask of it, and the words it
// writes with, before the node.

import { type Attrs, attr, type Model, type Node, type Value } from '../../graph/index.ts';
import { Formula } from '../formula.ts';

/** One value per output of the node; undefined for one that it cannot make. */
export type Opening = (o: Openable) => readonly (Value | undefined)[];

/** A form of an operator that its opening does not know. */
export class UnknownForm extends Error {}

export class Openable {
  readonly node: Node;
  readonly f: Formula;

  constructor(model: Model, node: Node) {
    this.node = node;
    this.f = new Formula(model, node.graph);
    this.f.g.at = node;
  }

  op(op: string, inputs: readonly (Value | undefined)[], attrs: Attrs = {}): Value {
    return this.f.op(op, inputs, attrs);
  }

  x(index: number): Value {
    return this.node.input(index) ?? this.unknown(`${this.node.op} without input ${index}`);
  }

  optional(index: number): Value | undefined {
    return this.node.input(index);
  }

  isRead(index: number): boolean {
    const output = this.node.outputs[index];
    if (!output?.name) return false;
    return output.uses.length > 0 || this.node.graph?.outputs.includes(output) === true;
  }

  /** Refuses a form of the operator. */
  unknown(form: string): never {
    throw new UnknownForm(form);
  }

  /** Sizes of a value, which have to be known. */
  sizes(value: Value): readonly number[] {
    const shape = value.shape ?? [];
    if (!value.shape || !shape.every((dim) => typeof dim === 'number')) {
      this.unknown(`${this.node.op} with "${value.name}" of unknown size`);
    }
    return shape as readonly number[];
  }

  plus(a: Value, b: Value | undefined): Value {
    return b ? this.f.add(a, b) : a;
  }

  /** A float attribute, to be handed on. */
  float(name: string, otherwise: number) {
    return attr.float(this.node.float(name, otherwise));
  }

  transpose(value: Value, perm: readonly number[]): Value {
    return this.op('Transpose', [value], { perm });
  }
}
