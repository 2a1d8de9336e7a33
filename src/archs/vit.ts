// Vision transformer (Dosovitskiy et al. 2020): patches as tokens, a class token, pre-norm blocks.
// The defaults are ViT-B/16. The names of weights follow torchvision's.

import { usageProblem } from '../errors/usage.ts';
import type { Value } from '../graph/index.ts';
import { architecture, checkHeads, imageOf, single } from './architecture.ts';
import { attention, dense, layerNorm, linear, TRANSFORMER } from './blocks.ts';
import { normal, zeros } from './initialize.ts';
import { Net } from './net.ts';

const EPSILON = 1e-6;

export const vit = architecture({
  name: 'vit',
  summary: 'vision transformer for images',
  defaults: {
    in: [3, 224, 224],
    classes: 1000,
    patch: 16,
    hidden: [768],
    layers: 12,
    heads: 12,
    mlpDim: 3072,
  },
  build(choices, seed) {
    const { classes, patch, layers, heads, mlpDim } = choices;
    const [channels, height, width] = imageOf(choices.in);
    const hidden = single('hidden', choices.hidden);
    checkHeads(hidden, heads);
    if (height % patch !== 0 || width % patch !== 0) {
      throw usageProblem(
        `patches of ${patch} do not tile an image of ${height} x ${width}`,
        'Give a --patch that divides the height and width of --in.',
      );
    }
    const net = new Net('vit', seed);
    const input = net.input('input', 'float32', ['batch', channels, height, width]);
    const tokens = 1 + (height / patch) * (width / patch);
    let x = embedPatches(net, input, { channels, hidden, patch });
    const position = net.weight('encoder.pos_embedding', [1, tokens, hidden], TRANSFORMER.weight);
    x = net.op('encoder', 'Add', [x, position]);
    for (let i = 0; i < layers; i++) {
      x = block(net, x, `encoder.layers.encoder_layer_${i}`, { hidden, heads, mlpDim });
    }
    x = layerNorm(net, x, 'encoder.ln', hidden, EPSILON);
    const first = net.op('class', 'Gather', [x, net.int(0)], { axis: 1 });
    const sizes = { inputs: hidden, outputs: classes };
    net.output(dense(net, first, 'heads.head', sizes, TRANSFORMER), 'logits', ['batch', classes]);
    return net.finish();
  },
});

interface PatchSizes {
  readonly channels: number;
  readonly hidden: number;
  readonly patch: number;
}

/** [batch, C, H, W] → [batch, 1 + patches, hidden], the class token first. */
function embedPatches(net: Net, x: Value, { channels, hidden, patch }: PatchSizes): Value {
  // LeCun's normal: the projection is linear, so its inputs' variance is kept.
  const weight = net.weight(
    'conv_proj.weight',
    [hidden, channels, patch, patch],
    normal(1 / Math.sqrt(channels * patch * patch)),
  );
  const bias = net.weight('conv_proj.bias', [hidden], zeros);
  const projected = net.op('conv_proj', 'Conv', [x, weight, bias], {
    kernel_shape: [patch, patch],
    strides: [patch, patch],
  });
  const flat = net.op('patches', 'Reshape', [projected, net.ints(0, hidden, -1)]);
  const tokens = net.op('patches', 'Transpose', [flat], { perm: [0, 2, 1] });
  const token = net.weight('class_token', [1, 1, hidden], normal(1e-6));
  const batch = net.op('class_token', 'Shape', [x], { start: 0, end: 1 });
  const shape = net.op('class_token', 'Concat', [batch, net.ints(1, 1)], { axis: 0 });
  const first = net.op('class_token', 'Expand', [token, shape]);
  return net.op('tokens', 'Concat', [first, tokens], { axis: 1 });
}

interface BlockSizes {
  readonly hidden: number;
  readonly heads: number;
  readonly mlpDim: number;
}

function block(net: Net, x: Value, name: string, sizes: BlockSizes): Value {
  const { hidden, mlpDim } = sizes;
  const square = { inputs: hidden, outputs: hidden };
  const self = `${name}.self_attention`;
  const a = layerNorm(net, x, `${name}.ln_1`, hidden, EPSILON);
  const q = linear(net, a, `${self}.q_proj`, square);
  const k = linear(net, a, `${self}.k_proj`, square);
  const v = linear(net, a, `${self}.v_proj`, square);
  const attended = linear(
    net,
    attention(net, self, { q, k, v }, sizes),
    `${self}.out_proj`,
    square,
  );
  const middle = net.op(name, 'Add', [x, attended]);
  const b = layerNorm(net, middle, `${name}.ln_2`, hidden, EPSILON);
  let y = linear(net, b, `${name}.mlp.0`, { inputs: hidden, outputs: mlpDim });
  y = net.op(`${name}.mlp.1`, 'Gelu', [y]);
  y = linear(net, y, `${name}.mlp.3`, { inputs: mlpDim, outputs: hidden });
  return net.op(name, 'Add', [middle, y]);
}
