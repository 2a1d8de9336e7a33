// Models that are broken, hostile or merely odd, made from a small one by an independent writer
// (onnx-proto) or byte by byte.

import onnxProto from 'onnx-proto';

const { onnx } = onnxProto;
const FLOAT = 1;
const INT64 = 7;

type ModelProto = onnxProto.onnx.IModelProto;
type GraphProto = onnxProto.onnx.IGraphProto;
type NodeProto = onnxProto.onnx.INodeProto;
type TensorProto = onnxProto.onnx.ITensorProto;

const floats = (...values: number[]) => new Uint8Array(Float32Array.from(values).buffer);

function port(name: string, dims: readonly (number | string)[], elemType = FLOAT) {
  const dim = dims.map((d) => (typeof d === 'number' ? { dimValue: d } : { dimParam: d }));
  return { name, type: { tensorType: { elemType, shape: { dim } } } };
}

function tensor(
  name: string,
  dims: number[],
  values: number[],
  more: TensorProto = {},
): TensorProto {
  return { name, dims, dataType: FLOAT, rawData: floats(...values), ...more };
}

function node(opType: string, input: string[], output: string[], more: NodeProto = {}): NodeProto {
  return { opType, name: `${opType}_of_${output[0]}`, input, output, ...more };
}

/** y = relu(x w) + b, x [n, 2]; `edit` changes the graph or the model before it is encoded. */
export function smallModel(
  edit: (graph: GraphProto, model: ModelProto) => void = () => {},
): Uint8Array {
  const graph: GraphProto = {
    name: 'small',
    input: [port('x', ['n', 2])],
    output: [port('y', ['n', 3])],
    initializer: [tensor('w', [2, 3], [1, -2, 3, 4, 5, -6]), tensor('b', [3], [0.5, 0, -0.5])],
    node: [
      node('MatMul', ['x', 'w'], ['product']),
      node('Relu', ['product'], ['active']),
      node('Add', ['active', 'b'], ['y']),
    ],
  };
  const model: ModelProto = { irVersion: 8, opsetImport: [{ domain: '', version: 17 }], graph };
  edit(graph, model);
  return onnx.ModelProto.encode(model).finish();
}

const first = <T>(list: T[] | null | undefined): T => {
  const [item] = list ?? [];
  if (item === undefined) throw new Error('the small model has changed');
  return item;
};

export interface Odd {
  readonly what: string;
  readonly bytes: Uint8Array;
}

export interface Broken extends Odd {
  /** What `inspect` has to say of it, as a problem or an error. */
  readonly seen: RegExp;
  /** The runtime does not know it, but its graph is sound: `optimize` may work. */
  readonly isSound?: boolean;
}

/** Structure that no command but `inspect` can work with. */
export const BROKEN: readonly Broken[] = [
  {
    what: 'a cycle',
    seen: /nodes wait for each other/,
    bytes: smallModel((g) => {
      first(g.node).input = ['active', 'w'];
    }),
  },
  {
    what: 'two nodes that make the same value',
    seen: /"active" is made twice/,
    bytes: smallModel((g) => g.node?.push(node('Neg', ['x'], ['active'], { name: 'again' }))),
  },
  {
    what: 'a value that nothing makes',
    seen: /"ghost" is made by nothing/,
    bytes: smallModel((g) => {
      first(g.node).input = ['ghost', 'w'];
    }),
  },
  {
    what: 'an output that nothing makes',
    seen: /"ghost" is made by nothing/,
    bytes: smallModel((g) => {
      g.output = [port('ghost', ['n', 3])];
    }),
  },
  {
    what: 'weights with fewer bytes than their shape takes',
    seen: /takes 24 bytes, but has 8/,
    bytes: smallModel((g) => {
      first(g.initializer).rawData = floats(1, 2);
    }),
  },
  {
    what: 'weights with more bytes than their shape takes',
    seen: /takes 12 bytes, but has 24/,
    bytes: smallModel((g) => {
      first(g.initializer).dims = [1, 3];
    }),
  },
  {
    what: 'weights of negative size',
    seen: /\[-2, -3\]/,
    bytes: smallModel((g) => {
      first(g.initializer).dims = [-2, -3];
    }),
  },
  {
    what: 'weights of astronomic size',
    seen: /\[1099511627776, 1099511627776\]/,
    bytes: smallModel((g) => {
      first(g.initializer).dims = [2 ** 40, 2 ** 40];
    }),
  },
  {
    what: 'an operator that does not exist',
    isSound: true,
    seen: /MatMull/,
    bytes: smallModel((g) => {
      first(g.node).opType = 'MatMull';
    }),
  },
  {
    what: 'an operator of an unknown domain',
    isSound: true,
    seen: /com\.example\.secret\.MatMul/,
    bytes: smallModel((g, m) => {
      first(g.node).domain = 'com.example.secret';
      m.opsetImport?.push({ domain: 'com.example.secret', version: 1 });
    }),
  },
  {
    what: 'an opset from the future',
    isSound: true,
    seen: /opset 9999/,
    bytes: smallModel((_, m) => {
      m.opsetImport = [{ domain: '', version: 9999 }];
    }),
  },
  {
    what: 'an IR version from the future',
    isSound: true,
    seen: /IR version 9999/,
    bytes: smallModel((_, m) => {
      m.irVersion = 9999;
    }),
  },
  {
    what: 'weights in a file that is missing',
    seen: /"missing\.bin" is missing/,
    bytes: smallModel((g) => externalise(g, 'missing.bin')),
  },
  {
    what: 'weights beyond the end of their file',
    seen: /byte 32 of "weights\.bin" .* 24 bytes/,
    bytes: smallModel((g) => externalise(g, 'weights.bin', 8, 24)),
  },
  {
    what: 'weights at a negative offset',
    seen: /"-8"/,
    bytes: smallModel((g) => externalise(g, 'weights.bin', -8, 24)),
  },
  {
    what: 'weights in a file outside of the folder',
    seen: /outside of the model's folder/,
    bytes: smallModel((g) => externalise(g, '../../../../../../etc/hostname')),
  },
  {
    what: 'weights in an absolute file',
    seen: /outside of the model's folder/,
    bytes: smallModel((g) => externalise(g, '/etc/hostname')),
  },
];

function externalise(graph: GraphProto, location: string, offset = 0, length = 24): void {
  const weight = first(graph.initializer);
  weight.rawData = undefined as unknown as Uint8Array;
  weight.dataLocation = onnx.TensorProto.DataLocation.EXTERNAL;
  weight.externalData = [
    { key: 'location', value: location },
    { key: 'offset', value: String(offset) },
    { key: 'length', value: String(length) },
  ];
}

/** Odd, but every command has to work. */
export const ODD: readonly Odd[] = [
  { what: 'the small model itself', bytes: smallModel() },
  {
    what: 'weights in a file beside it',
    bytes: smallModel((g) => externalise(g, 'weights.bin')),
  },
  {
    what: 'NaN and infinity among the weights',
    bytes: smallModel((g) => {
      first(g.initializer).rawData = floats(Number.NaN, 1, 2, Infinity, 3, -Infinity);
    }),
  },
  {
    what: 'dimensions of size zero',
    bytes: smallModel((g) => {
      g.input = [port('x', [0, 2])];
      g.output = [port('y', [0, 3])];
    }),
  },
  {
    what: 'names with spaces, slashes, quotes and Unicode',
    bytes: smallModel((g) => {
      const rename = new Map([
        ['x', 'the "input" größe'],
        ['product', 'a/b c\n'],
        ['active', '模型 ✓'],
        ['y', '𝒳 : y'],
        ['w', '-w --help'],
      ]);
      const renamed = (name: string) => rename.get(name) ?? name;
      for (const value of [...(g.input ?? []), ...(g.output ?? []), ...(g.initializer ?? [])]) {
        value.name = renamed(value.name ?? '');
      }
      for (const n of g.node ?? []) {
        n.input = (n.input ?? []).map(renamed);
        n.output = (n.output ?? []).map(renamed);
        n.name = `${n.name} ü`;
      }
    }),
  },
  {
    what: 'nodes without names',
    bytes: smallModel((g) => {
      for (const n of g.node ?? []) n.name = '';
    }),
  },
  {
    what: 'nodes out of order',
    bytes: smallModel((g) => g.node?.reverse()),
  },
  {
    what: 'an unused and a duplicate weight',
    bytes: smallModel((g) =>
      g.initializer?.push(tensor('b2', [3], [0.5, 0, -0.5]), tensor('unused', [1], [1])),
    ),
  },
  {
    what: 'a scalar weight of an integer type, unused',
    bytes: smallModel((g) =>
      g.initializer?.push({ name: 's', dims: [], dataType: INT64, rawData: new Uint8Array(8) }),
    ),
  },
];

const LENGTH_DELIMITED = 2;

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  return [...bytes, rest];
}

const field = (number: number) => (number << 3) | LENGTH_DELIMITED;

/** A graph in an attribute of a node in a graph …, `depth` times (model 7, node 1, attribute 5, g 6). */
export function nested(depth: number): Uint8Array {
  const heads: number[][] = [];
  let size = 0;
  for (let level = 0; level < depth; level++) {
    for (const number of [6, 5, 1]) {
      const head = [field(number), ...varint(size)];
      heads.push(head);
      size += head.length;
    }
  }
  heads.push([0x08, 8, field(7), ...varint(size)]);
  return Uint8Array.from(heads.reverse().flat());
}

/** Fields that claim to be longer than the file is. */
export const OVERLONG: readonly Odd[] = [
  {
    what: 'a graph of 4 GB',
    bytes: Uint8Array.from([0x08, 8, field(7), ...varint(2 ** 32 - 1), 1]),
  },
  { what: 'a graph of 2^60 bytes', bytes: Uint8Array.from([field(7), ...varint(2 ** 60), 1, 2]) },
  { what: 'a varint without end', bytes: new Uint8Array(64).fill(0xff) },
  {
    what: 'a weight of 2 GB in a graph of 10 bytes',
    bytes: Uint8Array.from([0x08, 8, field(7), 10, field(5), ...varint(2 ** 31), 1, 2, 3, 4]),
  },
];
