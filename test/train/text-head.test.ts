// Which states classes are told from, in the forms that models of texts come in.

import { describe, expect, it } from '@jest/globals';
import { architectureNamed } from '../../src/archs/index.ts';
import { checkModel, type Model, type Node } from '../../src/graph/index.ts';
import { setClasses } from '../../src/train/head.ts';
import { parseModel } from '../helpers/parse.ts';

const SIZES = { hidden: [16], layers: 1, heads: 2, seq: 8, vocab: 20 };

/** The node whose result the mean is taken of. */
function source({ graph }: Model): Node | undefined {
  const turned = [...graph.nodes].filter(({ op }) => op === 'Transpose').at(-1);
  return turned?.inputs[0]?.producer;
}

describe('classes instead of words', () => {
  it.each([
    ['bert', { head: 'mlm' }, 'encoder.layer.0.output.LayerNorm'],
    ['bert', { head: 'none' }, 'encoder.layer.0.output.LayerNorm'],
    ['gpt', {}, 'transformer.ln_f'],
  ] as const)('of %s %j are told from its last states', (name, choices, expected) => {
    const model = architectureNamed(name).build({ ...SIZES, ...choices }, 0);
    setClasses(model, 3, false, 0);
    expect(checkModel(model)).toEqual([]);
    expect(source(model)?.name.startsWith(expected)).toBe(true);
    expect(model.graph.outputs).toHaveLength(1);
    expect([...model.graph.nodes].at(-1)?.op).toBe('Gemm');
  });

  const text = (body: string) => `
g (int64[batch, seq] input_ids) => (float[batch, seq, n] y)
<float[9, 4] table = random, float[4, 6] up = random, float[6, 4] down = random, float[6] c = random>
{
  x = Gather(table, input_ids)
  ${body}
}`;

  it('are told from the end of a stream without a norm', () => {
    const model = parseModel(text('h = MatMul(x, up)\n  k = MatMul(h, down)\n  y = Add(x, k)'));
    setClasses(model, 3, false, 0);
    expect(source(model)?.op).toBe('Add');
  });

  it('are told from what the last product reads, where there is no stream', () => {
    const model = parseModel(text('h = Tanh(x)\n  s = MatMul(h, up)\n  y = Add(s, c)'));
    setClasses(model, 3, false, 0);
    expect(source(model)?.op).toBe('Tanh');
    expect([...model.graph.initializers].map(({ name }) => name)).not.toContain('up');
  });
});
