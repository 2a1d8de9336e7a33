// A model: the main graph with its functions, opset imports and metadata.

import type { Attr } from './attr.ts';
import { cloneGraph } from './clone.ts';
import type { Graph } from './graph.ts';

/** A model-local function: nodes of this domain and name stand for its body. */
export interface ModelFunction {
  readonly name: string;
  readonly domain: string;
  readonly overload: string;
  /** Body; its inputs and outputs are the parameters and results, usually without types. */
  readonly graph: Graph;
  /** Attributes a call may set, without a default. */
  readonly attributes: readonly string[];
  /** Attributes a call may set, with their defaults. */
  readonly defaults: ReadonlyMap<string, Attr>;
  readonly opsets: ReadonlyMap<string, number>;
  /** What the file format has to keep beside these; owned by `onnx/`. */
  readonly origin?: unknown;
}

export class Model {
  graph: Graph;
  functions: ModelFunction[] = [];
  /** Version per domain; '' is the standard domain. */
  opsets: Map<string, number>;
  irVersion: number;
  producerName = '';
  producerVersion = '';
  metadata = new Map<string, string>();
  /** What the file format has to keep beside these; owned by `onnx/`. */
  origin: unknown;
  /** Where it was read from, for messages. */
  path: string | undefined;

  constructor(graph: Graph, opsets: ReadonlyMap<string, number>, irVersion = 8) {
    this.graph = graph;
    this.opsets = new Map(opsets);
    this.irVersion = irVersion;
  }

  /** Version of the standard domain; 1 where the model does not say. */
  get opset(): number {
    return this.opsets.get('') ?? 1;
  }

  /** The function a node calls, if it is a call. Function names win over operator names. */
  functionOf(op: string, domain: string, overload = ''): ModelFunction | undefined {
    return this.functions.find(
      (f) => f.name === op && f.domain === domain && f.overload === overload,
    );
  }

  /** A copy to edit; tensors are shared. */
  clone(): Model {
    const copy = new Model(cloneGraph(this.graph), this.opsets, this.irVersion);
    copy.functions = this.functions.map((f) => ({ ...f, graph: cloneGraph(f.graph) }));
    copy.producerName = this.producerName;
    copy.producerVersion = this.producerVersion;
    copy.metadata = new Map(this.metadata);
    copy.origin = this.origin;
    copy.path = this.path;
    return copy;
  }
}
