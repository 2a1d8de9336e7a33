// Native calls that worker threads are inside of. Ending the process then aborts it (native code
// finds its JavaScript gone), so whoever wants to end it waits a moment. Imports nothing, so that
// the program's entry can afford it.

let calls = 0;
let stopped = false;
const waiting: (() => void)[] = [];

/** False once the process is to end: no further call may start. */
export function mayStart(): boolean {
  return !stopped;
}

export function callStarted(): void {
  calls += 1;
}

export function callEnded(): void {
  calls -= 1;
  if (calls === 0) for (const resume of waiting.splice(0)) resume();
}

/** Lets no further call start; resolves when none is running. */
export function stopCalls(): Promise<void> {
  stopped = true;
  return calls === 0 ? Promise.resolve() : new Promise((resolve) => void waiting.push(resolve));
}
