// Model to ModelProto.

import type { Graph, Model, ModelFunction } from '../graph/index.ts';
import { ENTRY, FUNCTION, MODEL, OPSET } from './fields.ts';
import { assemble, Message, Shell } from './message.ts';
import { FunctionOrigin, ModelOrigin, type OpsetOrigin } from './origin.ts';
import type { Storage } from './storage.ts';
import { writeAttr } from './write-attr.ts';
import { writeGraph, writeInfos, writeNodes } from './write-graph.ts';

/** The whole message; what is not in it goes where `storage` says. */
export function layOut(model: Model, storage: Storage): Message {
  const message = new Message();
  const origin = model.origin instanceof ModelOrigin ? model.origin : new ModelOrigin();
  const { seen, fields } = origin.leftovers;
  const text = (number: number, value: string) => (m: Message) => {
    if (value || seen.has(number)) m.text(number, value);
  };
  assemble(message, new Shell(fields), {
    [MODEL.ir_version]: (m) => {
      if (model.irVersion || seen.has(MODEL.ir_version)) m.int(MODEL.ir_version, model.irVersion);
    },
    [MODEL.producer_name]: text(MODEL.producer_name, model.producerName),
    [MODEL.producer_version]: text(MODEL.producer_version, model.producerVersion),
    [MODEL.graph]: (m) => writeGraph(m, MODEL.graph, model.graph, storage),
    [MODEL.opset_import]: (m) => writeOpsets(m, MODEL.opset_import, model.opsets, origin.opsets),
    [MODEL.metadata_props]: (m) => writeMetadata(m, model, origin),
    [MODEL.functions]: (m) => {
      for (const fn of model.functions) writeFunction(m, fn, storage);
    },
  });
  return message;
}

/** Entries that still hold as they were, in their order; then the new ones. */
function writeOpsets(
  message: Message,
  number: number,
  opsets: ReadonlyMap<string, number>,
  old: readonly OpsetOrigin[],
): void {
  const first = new Map<string, OpsetOrigin>();
  for (const entry of old) if (!first.has(entry.domain)) first.set(entry.domain, entry);
  for (const entry of old) {
    const version = opsets.get(entry.domain);
    if (version === undefined) continue;
    // A domain that is listed twice counts as its first entry says.
    if (version === first.get(entry.domain)?.version) message.copy(entry.field, number);
    else {
      const shell = Shell.of(entry.field, 'OperatorSetIdProto');
      message.message(number, (m) =>
        assemble(m, shell, { [OPSET.version]: (x) => x.int(OPSET.version, version) }),
      );
    }
  }
  for (const [domain, version] of opsets) {
    if (first.has(domain)) continue;
    message.message(number, (m) => {
      m.text(OPSET.domain, domain);
      m.int(OPSET.version, version);
    });
  }
}

function writeMetadata(message: Message, model: Model, origin: ModelOrigin): void {
  const current = new Map(origin.metadata.map(({ key, value }) => [key, value]));
  const write = (key: string, value: string) => {
    message.message(MODEL.metadata_props, (m) => {
      m.text(ENTRY.key, key);
      m.text(ENTRY.value, value);
    });
  };
  for (const { key, field } of origin.metadata) {
    const value = model.metadata.get(key);
    if (value === undefined) continue;
    if (value === current.get(key)) message.copy(field);
    else write(key, value);
  }
  for (const [key, value] of model.metadata) if (!current.has(key)) write(key, value);
}

function writeFunction(message: Message, fn: ModelFunction, storage: Storage): void {
  const { leftovers, opsets } =
    fn.origin instanceof FunctionOrigin ? fn.origin : new FunctionOrigin();
  const { seen } = leftovers;
  const writer = {
    storage,
    graph: (m: Message, number: number, graph: Graph) => writeGraph(m, number, graph, storage),
  };
  const text = (number: number, value: string) => (m: Message) => {
    if (value || seen.has(number)) m.text(number, value);
  };
  const texts = (number: number, values: readonly string[]) => (m: Message) => {
    for (const value of values) m.text(number, value);
  };
  message.message(MODEL.functions, (body) =>
    assemble(body, new Shell(leftovers.fields), {
      [FUNCTION.name]: text(FUNCTION.name, fn.name),
      [FUNCTION.input]: texts(
        FUNCTION.input,
        fn.graph.inputs.map((value) => value.name),
      ),
      [FUNCTION.output]: texts(
        FUNCTION.output,
        fn.graph.outputs.map((value) => value.name),
      ),
      [FUNCTION.attribute]: texts(FUNCTION.attribute, fn.attributes),
      [FUNCTION.node]: (m) => writeNodes(m, FUNCTION.node, fn.graph, storage),
      [FUNCTION.opset_import]: (m) => writeOpsets(m, FUNCTION.opset_import, fn.opsets, opsets),
      [FUNCTION.domain]: text(FUNCTION.domain, fn.domain),
      [FUNCTION.attribute_proto]: (m) => {
        for (const [name, attr] of fn.defaults) {
          writeAttr(m, FUNCTION.attribute_proto, name, attr, writer);
        }
      },
      [FUNCTION.value_info]: (m) => writeInfos(m, FUNCTION.value_info, fn.graph),
      [FUNCTION.overload]: text(FUNCTION.overload, fn.overload),
    }),
  );
}
