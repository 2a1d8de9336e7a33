// Depth: residual blocks y = x + f(x) that change little are left out, y = x. How much a block changes
// is 1 - cosine(x, y) over data (block influence; Men et al. 2024, ShortGPT).

import { dependenciesOf, isStatic, type Model, type Node, type Value } from '../../graph/index.ts';
import { constantData } from '../../ops/index.ts';
import { elementsOf } from '../../tensor/elements.ts';
import type { Pattern } from '../select.ts';
import type { Observer } from './sparse/index.ts';

export interface Block {
  /** The Add. */
  readonly node: Node;
  /** x, of the shape of the result. */
  readonly skip: Value;
  /** What the block gives: the sum, or what the same activation or normalisation that made x makes of it. */
  readonly end: Value;
  /** Nodes between. */
  readonly branch: ReadonlySet<Node>;
}

/** Nodes of a block are looked for so far back. */
const REACH = 400;

/** Residual blocks of the main graph, in order. */
export function findBlocks(model: Model): Block[] {
  const blocks: Block[] = [];
  for (const node of model.graph.nodes) {
    if (node.op !== 'Add' || node.inputs.length !== 2) continue;
    const [a, b] = node.inputs as readonly [Value, Value];
    const found = blockOver(node, a, b) ?? blockOver(node, b, a);
    if (found) blocks.push(found);
  }
  return blocks;
}

function blockOver(node: Node, skip: Value, branch: Value): Block | undefined {
  if (!branch.producer || skip.data || !sameSize(skip, node.outputs[0])) return undefined;
  const seen = new Set<Node>();
  const open = [branch];
  let reaches = false;
  for (let value = open.pop(); value && seen.size < REACH; value = open.pop()) {
    if (value === skip) reaches = true;
    const made = value.producer;
    // What makes x is before the block.
    if (value === skip || !made || made === skip.producer || seen.has(made)) continue;
    seen.add(made);
    open.push(...dependenciesOf(made));
  }
  return reaches ? { node, skip, end: endOf(node, skip), branch: seen } : undefined;
}

/** ReLU(x + f(x)) after a ReLU, LayerNormalization(x + f(x)) after one: without f, all of it is x. */
function endOf({ outputs }: Node, skip: Value): Value {
  const sum = outputs[0] as Value;
  const [tail] = new Set(sum.uses.map(({ node }) => node));
  const isSame = tail?.op === skip.producer?.op && tail?.graph === skip.producer?.graph;
  const isOnly = sum.uses.length === 1 && !tail?.graph?.outputs.includes(sum);
  return isSame && isOnly && tail && isUnary(tail) ? (tail.outputs[0] as Value) : sum;
}

/** Reads one computed value; the others are weights. */
function isUnary({ inputs, outputs }: Node): boolean {
  const [, ...rest] = inputs;
  return rest.every((value) => !value || constantData(value)) && outputs.length === 1;
}

function sameSize(a: Value, b: Value | undefined): boolean {
  const [x, y] = [a.shape, b?.shape];
  if (!x || !y || x.length !== y.length) return false;
  return isStatic(x) && isStatic(y)
    ? `${x}` === `${y}`
    : x.every((dim, i) => `${dim}` === `${y[i]}`);
}

/** 1 - cosine of what goes in and what comes out, over all samples. */
export async function blockInfluence(
  model: Model,
  blocks: readonly Block[],
  observer: Observer,
): Promise<number[]> {
  const sums = blocks.map(() => ({ product: 0, before: 0, after: 0 }));
  const names = new Set(blocks.flatMap(({ skip, end }) => [skip.name, end.name]));
  // Every value comes once for each batch: a block is complete when its second one comes.
  const waiting = new Map<number, ArrayLike<number>>();
  await observer.observe(model, [...names], (name, tensor) => {
    const values = elementsOf(tensor) as ArrayLike<number>;
    blocks.forEach(({ skip, end }, i) => {
      if (name !== skip.name && name !== end.name) return;
      const other = waiting.get(i);
      waiting.delete(i);
      if (!other) waiting.set(i, values);
      else if (other.length === values.length) {
        const isInput = name === skip.name;
        add(sums[i] as Sums, isInput ? values : other, isInput ? other : values);
      }
    });
  });
  return sums.map(({ product, before, after }) => 1 - product / Math.sqrt(before * after || 1));
}

interface Sums {
  product: number;
  before: number;
  after: number;
}

function add(sum: Sums, x: ArrayLike<number>, y: ArrayLike<number>): void {
  for (let i = 0; i < x.length; i++) {
    const [a, b] = [x[i] as number, y[i] as number];
    sum.product += a * b;
    sum.before += a * a;
    sum.after += b * b;
  }
}

/** Whether a block may go, or why not. */
export function blockHeld(
  model: Model,
  { node, skip, end }: Block,
  skipped: readonly Pattern[],
  only: readonly Pattern[],
): string | undefined {
  const found = skipped.find((pattern) => pattern.matches(node));
  if (found) return `--skip ${found.text}`;
  if (only.length > 0 && !only.some((pattern) => pattern.matches(node)))
    return 'not named by --only';
  return model.graph.canReplace(end, skip) ? undefined : 'its result is that of the model';
}

/** Leaves a block out, in place; what it was made of is dead afterwards. */
export function dropBlock(model: Model, { skip, end }: Block): void {
  model.graph.replace(end, skip);
}
