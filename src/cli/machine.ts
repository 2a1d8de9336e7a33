// What targets have to know of this machine.

import { describeHardware } from '../runtime/hardware.ts';
import type { Provider } from '../runtime/options.ts';
import type { MachineFacts } from '../targets/target.ts';

export function machineFacts(provider: Provider | undefined): MachineFacts {
  const { instructionSets } = describeHardware();
  return { architecture: process.arch, instructionSets, hasCuda: provider === 'cuda' };
}
