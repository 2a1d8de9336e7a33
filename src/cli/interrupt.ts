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

export interface Stop {
  /** Whether the user has asked for an end. */
  isAsked(): boolean;
  readonly exitCode: number;
  /** Signals end the program at once again. */
  release(): void;
}

/** For work that ends by itself when asked: the first signal asks, the second one ends at once. */
export function takeOverSignals(): Stop {
  const before = new Map<NodeJS.Signals, NodeJS.SignalsListener[]>();
  let asked: keyof typeof EXIT_CODES | undefined;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    before.set(signal, process.rawListeners(signal) as NodeJS.SignalsListener[]);
    process.removeAllListeners(signal);
    process.on(signal, () => {
      if (asked) endBySignal(signal);
      asked = signal;
    });
  }
  return {
    isAsked: () => asked !== undefined,
    get exitCode() {
      return EXIT_CODES[asked ?? 'SIGINT'];
    },
    release() {
      for (const [signal, listeners] of before) {
        process.removeAllListeners(signal);
        for (const listener of listeners) process.on(signal, listener);
      }
    },
  };
}
