// The architectures of `init`.

import { unknownName } from '../errors/usage.ts';
import type { Architecture } from './architecture.ts';
import { bert } from './bert.ts';
import { cnn } from './cnn.ts';
import { gpt } from './gpt.ts';
import { lstm } from './lstm.ts';
import { mlp } from './mlp.ts';
import { mobilenetv2 } from './mobilenetv2.ts';
import { resnet18, resnet20, resnet50 } from './resnet.ts';
import { transformer } from './transformer.ts';
import { vit } from './vit.ts';

export const architectures: readonly Architecture[] = [
  mlp,
  cnn,
  resnet18,
  resnet20,
  resnet50,
  mobilenetv2,
  vit,
  bert,
  gpt,
  lstm,
  transformer,
];

/** The architecture of this name; a usage error with the nearest name where there is none. */
export function architectureNamed(name: string): Architecture {
  const found = architectures.find((a) => a.name === name);
  if (found) return found;
  const known = architectures.map((a) => a.name);
  throw unknownName('architecture', name, known);
}

export { type Architecture, type Choices, flagOf } from './architecture.ts';
