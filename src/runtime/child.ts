// A process of its own: for what may end a process (trying providers) and for what must not be
// mixed up with another's memory (measuring it). One task, one answer, then it ends.

import { join } from 'node:path';
import { loadRuntime } from './binding.ts';
import type {
  ChildAnswer,
  ChildTask,
  ProbeAnswer,
  ProbeTask,
  UsageAnswer,
  UsageTask,
} from './child-tasks.ts';
import { findLibraries } from './libraries.ts';
import { peakMemory } from './memory.ts';
import { readTrace } from './profile.ts';
import { Sessions } from './sessions.ts';

function probe(task: ProbeTask): ProbeAnswer {
  const libraries = findLibraries(task.provider, process.env['LD_LIBRARY_PATH']);
  const { backends } = loadRuntime();
  if (!backends.includes(task.provider)) return { backends, libraries, known: false };
  try {
    const sessions = new Sessions();
    const profilePrefix = join(task.folder, 'trace');
    const { provider, device, feeds, want } = task;
    const { session } = sessions.open(task.model, {
      provider,
      device,
      profilePrefix,
      optimization: 'disabled',
    });
    const results = sessions.run(session, feeds, want);
    sessions.endProfiling(session);
    const ran = readTrace(profilePrefix, 0).providers.map((row) => row.provider);
    return { backends, libraries, known: true, ran, results };
  } catch (error) {
    const failure = error instanceof Error ? error.message : String(error);
    return { backends, libraries, known: true, failure };
  }
}

function usage(task: UsageTask): UsageAnswer {
  const sessions = new Sessions();
  const idle = peakMemory();
  const { session, loadMs } = sessions.open(task.path, task.options);
  const loaded = peakMemory();
  const item = { session, feeds: task.feeds };
  const firstRunMs = sessions.time([item], 1)[0]?.[0] ?? Number.NaN;
  sessions.time([item], task.runs);
  return { idleBytes: idle, loadedBytes: loaded, peakBytes: peakMemory(), loadMs, firstRunMs };
}

function perform(task: ChildTask): ChildAnswer {
  try {
    return task.task === 'probe' ? { probe: probe(task) } : { usage: usage(task) };
  } catch (error) {
    return { failure: error instanceof Error ? error.message : String(error) };
  }
}

// Ctrl-C reaches every process of the terminal: the parent decides, and ends this one.
process.on('SIGINT', () => {});

process.once('message', (task: ChildTask) => {
  process.send?.(perform(task), undefined, undefined, () => process.disconnect());
});
