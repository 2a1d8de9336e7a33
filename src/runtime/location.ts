// The threads, processes and pages that the runtime starts, as they are built.

import { builtFile } from '../threads/location.ts';

export { packageRoot } from '../threads/location.ts';

/** Entry points of this folder that are built beside the program. */
export type BuiltEntry = 'worker' | 'child' | 'web/child' | 'web/page';

export function builtEntry(name: BuiltEntry): string {
  return builtFile(`runtime/${name}`);
}
