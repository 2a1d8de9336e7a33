// Ctrl-C: ends the process with the contract's exit code as soon as native code allows it.

import { stopCalls } from '../runtime/in-flight.ts';

/** A native call that takes longer is not waited for. */
const PATIENCE_MS = 2000;

const EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const;

/** Ends the program on SIGINT and SIGTERM; on the second one, or out of patience, at once. */
export function endOnSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      const kill = () => endBySignal(signal);
      process.once(signal, kill);
      const timer = setTimeout(kill, PATIENCE_MS);
      void stopCalls().then(() => {
        clearTimeout(timer);
        process.exit(EXIT_CODES[signal]);
      });
    });
  }
}

/** Shells report a process that died of SIGINT as 130, too. */
function endBySignal(signal: keyof typeof EXIT_CODES): void {
  // What removes temporary files listens here, and nothing else would call it.
  process.emit('exit', EXIT_CODES[signal]);
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
}
