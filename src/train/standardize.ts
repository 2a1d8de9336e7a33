// Numbers brought to mean 0 and deviation 1 for the layers between, as part of the model:
// (x - mean) / deviation before the first layer, y * deviation + mean behind the last one. The model goes
// on taking and giving numbers as the data has them.

import { Builder, type Model, type Value } from '../graph/index.ts';
import { inferNode } from '../ops/index.ts';
import { floatTensor } from '../tensor/scale.ts';

/** Of the columns of an array: of the numbers along its last axis. */
export interface ColumnMoments {
  readonly mean: Float64Array;
  readonly deviation: Float64Array;
}

const STATISTIC = /#(mean|deviation)$/;

/** Whether an initializer says what data is like, and is no weight. */
export function isDataStatistic({ name }: Value): boolean {
  return STATISTIC.test(name);
}

/** Puts the step before all that reads an input, in place. */
export function standardizeInput(model: Model, input: Value, moments: ColumnMoments): void {
  const [first] = model.graph.nodes;
  const g = new Builder(model.graph, first, (node) => inferNode(model, node));
  const { mean, deviation } = constants(g, input, moments);
  const centred = g.op('Sub', [input, mean]);
  insert(model, input, centred, g.op('Div', [centred, deviation]));
}

/** Puts the step behind an output, in place. */
export function standardizeOutput(model: Model, output: Value, moments: ColumnMoments): void {
  const g = new Builder(model.graph, undefined, (node) => inferNode(model, node));
  const { mean, deviation } = constants(g, output, moments);
  const scaled = g.op('Mul', [output, deviation]);
  insert(model, output, scaled, g.op('Add', [scaled, mean]));
}

function constants(g: Builder, { name, dtype = 'float32' }: Value, moments: ColumnMoments) {
  const constant = (what: string, numbers: Float64Array) =>
    g.constant(`${name}#${what}`, floatTensor(dtype, [numbers.length], numbers));
  return {
    mean: constant('mean', moments.mean),
    deviation: constant('deviation', moments.deviation),
  };
}

/** Lets all readers of a value, but for the first of the new nodes, read the result of the last one. */
function insert({ graph }: Model, value: Value, first: Value, last: Value): void {
  graph.replace(value, last);
  first.producer?.setInput(0, value);
}
