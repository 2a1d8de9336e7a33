// If and Loop: the types of their bodies, and of what they hand out. Carried values of a Loop may
// change their shape from run to run: sizes that do are widened to unknown until the types stand
// still.

import {
  cloneGraph,
  type Dim,
  type Graph,
  isUnknown,
  type Node,
  printType,
  sameDim,
  symbolsOf,
  type Type,
  tensorType,
  unknownDim,
  type Value,
} from '../graph/index.ts';
import { constantData, type InferContext, knownElements } from './context.ts';
import { define, type Inferred } from './op.ts';
import { unionType } from './sequence.ts';

/** Widening ends after as many rounds as there are sizes; this bounds broken models. */
const MAX_ROUNDS = 16;

/** The truth of a boolean value where it is known. */
function truth(value: Value | undefined): boolean | undefined {
  if (!value) return undefined;
  const data = constantData(value);
  if (data?.dtype === 'bool' && data.size === 1 && !data.isDerived) return data.numbers()[0] !== 0;
  const known = knownElements(value)?.[0];
  return typeof known === 'number' ? known !== 0 : undefined;
}

function inferIf(c: InferContext): Inferred[] {
  const branches = [c.node.subgraph('then_branch'), c.node.subgraph('else_branch')];
  const taken = truth(c.node.inputs[0]);
  // A branch that is not taken may be contradictory: exporters guard Squeeze like that.
  const problems = branches.map((branch, i) => {
    const isCertain = taken === (i === 0);
    return branch ? c.inferGraph(branch, !isCertain) : 0;
  });
  const sound = branches.filter((_, i) => problems[i] === 0);
  const open = sound.length > 0 ? sound : branches;
  const possible = taken === undefined ? open : [branches[taken ? 0 : 1]];
  return c.node.outputs.map((_, i) => {
    const results = possible.map((branch) => branch?.outputs[i]);
    const type = results.map((value) => value?.type).reduce(unionType);
    return { type, known: commonElements(results) };
  });
}

function commonElements(values: readonly (Value | undefined)[]): readonly Dim[] | undefined {
  const [first, ...rest] = values.map((value) => value && knownElements(value));
  const isCommon = rest.every(
    (other) =>
      other?.length === first?.length &&
      first?.every((dim, i) => sameDim(dim, other?.[i] as Dim)) === true,
  );
  return isCommon ? first : undefined;
}

/** Types of carried values that hold in every run of the body. */
interface Carried {
  readonly types: (Type | undefined)[];
  /** Symbols put where sizes change from run to run. */
  readonly widened: ReadonlySet<string>;
}

/** Runs copies of the body over ever wider types until what it returns fits what it takes. */
function settle(
  c: InferContext,
  body: Graph,
  initial: readonly (Type | undefined)[],
  apply: (copy: Graph, types: readonly (Type | undefined)[]) => void,
): Carried {
  const widened = new Set<string>();
  let types = [...initial];
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const copy = cloneGraph(body);
    copy.parent = c.node;
    apply(copy, types);
    c.inferGraph(copy, true);
    const results = copy.outputs.slice(1, 1 + types.length).map((value) => value.type);
    copy.disconnect();
    let isStable = true;
    types = types.map((type, i) => {
      const wide = widen(type, results[i], widened);
      if (wide !== type) isStable = false;
      return wide;
    });
    if (isStable) break;
  }
  return { types, widened };
}

/** `type` itself when `result` fits it. */
function widen(
  type: Type | undefined,
  result: Type | undefined,
  widened: Set<string>,
): Type | undefined {
  if (type?.kind !== 'tensor' || result?.kind !== 'tensor') {
    return type?.kind === 'tensor' || !type ? type : widenOther(type, result);
  }
  const [from, to] = [type.shape, result.shape];
  if (!from) return type;
  if (!to || to.length !== from.length) return tensorType(type.dtype, undefined);
  const isOpen = (dim: Dim) => typeof dim !== 'number' && widened.has(dim.key);
  const fits = (dim: Dim, i: number) => sameDim(dim, to[i] as Dim) || isOpen(dim);
  if (from.every(fits)) return type;
  const dims = from.map((dim, i) => {
    if (fits(dim, i)) return dim;
    const open = unknownDim();
    widened.add(open.key);
    return open;
  });
  return tensorType(type.dtype, dims);
}

function widenOther(type: Type, result: Type | undefined): Type {
  const both = unionType(type, result ?? type);
  return both && printType(both) !== printType(type) ? both : type;
}

/** Sizes that differ from run to run mean nothing outside of the body. */
function outside(type: Type | undefined, widened: ReadonlySet<string>): Type | undefined {
  if (type?.kind !== 'tensor' || !type.shape || widened.size === 0) return type;
  const changes = (dim: Dim) => isUnknown(dim) && symbolsOf(dim).some((name) => widened.has(name));
  return tensorType(
    type.dtype,
    type.shape.map((dim) => (changes(dim) ? unknownDim() : dim)),
  );
}

/** Body: (iteration, condition, carried …) → (condition, carried …, per-run results …). */
function inferLoop(c: InferContext): Inferred[] {
  const body = c.node.subgraph('body');
  if (!body) return [];
  const initial = c.node.inputs.slice(2);
  const apply = (graph: Graph, types: readonly (Type | undefined)[]) => {
    graph.inputs.forEach((input, i) => {
      const known: Type | undefined =
        i === 0 ? scalar('int64', input) : i === 1 ? scalar('bool', input) : types[i - 2];
      input.type = known ?? input.type;
      input.known = undefined;
    });
  };
  const { types, widened } = settle(
    c,
    body,
    initial.map((value, i) => value?.type ?? body.inputs[i + 2]?.type),
    apply,
  );
  apply(body, types);
  c.inferGraph(body);
  const runs = tripCount(c) ?? unknownDim();
  return c.node.outputs.map((_, i) => {
    const result = body.outputs[i + 1]?.type;
    // An optional that the body fills is what the body makes of it (ONNX, Loop 16).
    const isFilled = types[i]?.kind === 'optional' && result && result.kind !== 'optional';
    if (i < types.length) return { type: isFilled ? result : outside(types[i] ?? result, widened) };
    return { type: stacked(outside(result, widened), 0, runs) };
  });
}

/** Iteration count and condition may be declared with one element instead of as scalars. */
function scalar(dtype: 'int64' | 'bool', input: Value): Type {
  return tensorType(dtype, input.shape?.length === 1 ? [1] : []);
}

/** A type with one more axis. */
export function stacked(type: Type | undefined, axis: number, size: Dim): Type | undefined {
  if (type?.kind !== 'tensor') return undefined;
  if (!type.shape) return type;
  const at = axis < 0 ? axis + type.shape.length + 1 : axis;
  return tensorType(type.dtype, [...type.shape.slice(0, at), size, ...type.shape.slice(at)]);
}

/** How often a Loop runs, where nothing but the count ends it. */
function tripCount(c: InferContext): Dim | undefined {
  const body = c.node.subgraph('body');
  const count = c.has(0) ? c.known(0)?.[0] : undefined;
  if (!body || count === undefined) return undefined;
  if (c.has(1)) {
    const start = truth(c.node.inputs[1]);
    if (start === false) return 0;
    if (start === undefined) return undefined;
  }
  return staysTrue(body.outputs[0], body.inputs[1]) ? count : undefined;
}

function staysTrue(result: Value | undefined, condition: Value | undefined): boolean {
  for (let value = result; value; value = passed(value.producer)) {
    if (value === condition || truth(value) === true) return true;
  }
  return false;
}

function passed(node: Node | undefined): Value | undefined {
  return node?.op === 'Identity' || node?.op === 'Cast' ? node.inputs[0] : undefined;
}

define(
  {
    op: 'If',
    infer: inferIf,
    runs(c, index) {
      const taken = truth(c.node.inputs[0]);
      const isThen = c.node.subgraphs()[index] === c.node.subgraph('then_branch');
      return taken === undefined || taken === isThen ? 1 : 0;
    },
  },
  { op: 'Loop', infer: inferLoop, runs: tripCount },
);
