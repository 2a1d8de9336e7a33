// Encoded images.

import { unknownDim } from '../graph/index.ts';
import { define, tensor } from './op.ts';

define({
  // Bytes → [height, width, channels]
  op: 'ImageDecoder',
  infer(c) {
    const channels = c.node.string('pixel_format', 'RGB') === 'Grayscale' ? 1 : 3;
    return [tensor('uint8', [unknownDim(), unknownDim(), channels])];
  },
});
