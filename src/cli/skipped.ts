// Samples that this run left out (--skip-bad), wherever it opened data: said once, in the report.

import type { BadSamples } from '../data/bad-samples.ts';
import type { Warning } from '../report/report.ts';

const notes = new Set<string>();

export function noteSkipped(bad: BadSamples): void {
  for (const note of bad.notes) notes.add(note);
}

export function skippedWarnings(): Warning[] {
  return [...notes].map((message) => ({ code: 'skipped-samples', message }));
}
