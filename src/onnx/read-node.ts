// NodeProto, with names where the graph will have values.

import { Value } from '../graph/index.ts';
import type { Budget } from './budget.ts';
import { NODE } from './fields.ts';
import { BYTES, broken, type Field, readText, Scanner } from './wire.ts';

export interface NodeRecord {
  readonly field: Field;
  op: string;
  domain: string;
  name: string;
  readonly inputs: string[];
  readonly outputs: Value[];
  readonly attrs: Field[];
}

export function readNodeRecord(field: Field, budget: Budget): NodeRecord {
  const record: NodeRecord = {
    field,
    op: '',
    domain: '',
    name: '',
    inputs: [],
    outputs: [],
    attrs: [],
  };
  const scan = new Scanner(field, 'NodeProto');
  while (scan.next()) readNodeField(record, scan, budget);
  if (!record.op) throw broken(field.source, field.start, 'a node has no operator');
  return record;
}

function readNodeField(record: NodeRecord, scan: Scanner, budget: Budget): void {
  switch (scan.number) {
    case NODE.input:
      scan.expect(BYTES);
      budget.spend(scan);
      record.inputs.push(readText(scan));
      break;
    case NODE.output:
      scan.expect(BYTES);
      budget.spend(scan);
      record.outputs.push(new Value(readText(scan)));
      break;
    case NODE.name:
      scan.expect(BYTES);
      record.name = readText(scan);
      break;
    case NODE.op_type:
      scan.expect(BYTES);
      record.op = readText(scan);
      break;
    case NODE.domain:
      scan.expect(BYTES);
      record.domain = canonicalDomain(readText(scan));
      break;
    case NODE.attribute:
      scan.expect(BYTES);
      budget.spend(scan);
      record.attrs.push(scan.field());
      break;
  }
}

/** The standard domain has two spellings. */
export function canonicalDomain(domain: string): string {
  return domain === 'ai.onnx' ? '' : domain;
}
