// What `--preset transformersjs` shows: every file, how big, how similar, how fast and where it loads.

import { basename } from 'node:path';
import { nothingForTheWeb } from '../../errors/web.ts';
import { type Block, type Cell, formatBytes, type Warning } from '../../report/report.ts';
import type { WebRuntimes } from '../../runtime/web/index.ts';
import type { Variant } from './transformersjs.ts';
import type { Similarity, Trial } from './web-check.ts';

/** Below it a file computes something else than its model. */
const FAR = 0.9;
/** Runtimes whose results are so far apart do not compute the same. */
const APART = 0.02;

const COLUMNS: readonly (readonly [runtime: string, title: string])[] = [
  ['onnxruntime-node', 'node'],
  ['wasm (node)', 'wasm'],
  ['wasm (chromium)', 'chromium'],
  ['webgpu (chromium)', 'webgpu'],
];

export function presetBlocks(sets: readonly (readonly Variant[])[], web: WebRuntimes): Block[] {
  const shown = COLUMNS.filter(([name]) =>
    sets.some((set) => set.some(({ trials }) => trials.some((t) => isTimed(t, name)))),
  );
  const hasTop1 = sets.some((set) => set.some((variant) => worst(variant)?.top1 !== undefined));
  const tables = sets.map((variants): Block => {
    const float = variants.find(({ dtype }) => dtype === 'fp32');
    return {
      columns: [
        { name: 'file' },
        { name: 'size', align: 'right' },
        { name: 'of float', align: 'right' },
        { name: 'cosine', align: 'right' },
        { name: 'max error', align: 'right' },
        ...(hasTop1 ? [{ name: 'same top 1', align: 'right' } as const] : []),
        ...shown.map(([, title]) => ({ name: `${title} ms`, align: 'right' }) as const),
        { name: '' },
      ],
      rows: variants.map((variant) => [
        basename(variant.path),
        ...(variant.isWritten ? figures(variant, float, hasTop1) : blank(hasTop1 ? 5 : 4)),
        ...shown.map(([name]) => milliseconds(variant, name)),
        verdict(variant),
      ]),
    };
  });
  const notes = web.unavailable.map(({ name, reason, hint }): Block => {
    return { text: `Not tried in ${name}: ${reason}. ${hint}` };
  });
  for (const { name, software } of web.runners) {
    if (!software) continue;
    const text = `${name} was computed in software (${software}): its results count, its times do not.`;
    notes.push({ text });
  }
  return [...tables, ...notes, ...configBlocks(sets.flat())];
}

/** The library looks for data files only where config.json says so. */
function configBlocks(variants: readonly Variant[]): Block[] {
  const large = variants.filter(({ isWritten, dataPath }) => isWritten && dataPath);
  if (large.length === 0) return [];
  const files = Object.fromEntries(large.map(({ path }) => [basename(path), 1]));
  const entry = { 'transformers.js_config': { use_external_data_format: files } };
  return [{ text: `Add to the model's config.json: ${JSON.stringify(entry)}` }];
}

function figures(variant: Variant, float: Variant | undefined, hasTop1: boolean): Cell[] {
  const seen = worst(variant);
  const share = float && float.bytes > 0 ? (variant.bytes / float.bytes).toFixed(3) : '';
  const top1 = seen?.top1 === undefined ? '' : `${(100 * seen.top1).toFixed(1)}%`;
  return [
    formatBytes(variant.bytes),
    share,
    seen ? seen.cosine.toFixed(5) : '',
    seen ? seen.maxAbsError.toPrecision(2) : '',
    ...(hasTop1 ? [top1] : []),
  ];
}

function blank(count: number): Cell[] {
  return Array.from({ length: count }, () => '');
}

/** Over all runtimes. */
function worst({ trials }: Variant): Similarity | undefined {
  const found = trials.flatMap(({ similarity }) => similarity ?? []);
  if (found.length === 0) return undefined;
  const shares = found.flatMap(({ top1 }) => (top1 === undefined ? [] : [top1]));
  return {
    cosine: Math.min(...found.map(({ cosine }) => cosine)),
    maxAbsError: Math.max(...found.map(({ maxAbsError }) => maxAbsError)),
    ...(shares.length > 0 ? { top1: Math.min(...shares) } : {}),
  };
}

function isTimed(trial: Trial, runtime: string): boolean {
  return trial.runtime === runtime && trial.latencyMs !== undefined;
}

function milliseconds({ trials }: Variant, runtime: string): Cell {
  const trial = trials.find((one) => isTimed(one, runtime));
  if (trial?.latencyMs === undefined) return '';
  const ms = trial.latencyMs.toPrecision(3);
  if (trial.floatLatencyMs === undefined) return ms;
  return `${ms} (${(trial.floatLatencyMs / trial.latencyMs).toFixed(2)}x)`;
}

function verdict(variant: Variant): string {
  if (!variant.isWritten) return `not written: ${variant.reason}`;
  const failed = variant.trials.filter(({ status }) => status === 'failed');
  if (failed.length > 0) return `fails in ${failed.map(({ runtime }) => runtime).join(', ')}`;
  return 'ok';
}

export function presetWarnings(variants: readonly Variant[]): Warning[] {
  return variants.flatMap((variant) => {
    const where = basename(variant.path);
    if (!variant.isWritten) {
      const message = `it was not written: ${variant.reason}`;
      return [{ code: 'variant-not-written', message, where }];
    }
    return [...failures(variant, where), ...differences(variant, where)];
  });
}

/** Of a file that was written all the same: the float model fails there, too. */
function failures({ trials }: Variant, where: string): Warning[] {
  return trials
    .filter(({ status }) => status === 'failed')
    .map(({ runtime, reason }) => {
      const message = `it does not run in ${runtime}: ${reason}`;
      return { code: 'variant-fails', message, where };
    });
}

function differences({ trials }: Variant, where: string): Warning[] {
  const seen = trials.flatMap(({ runtime, similarity }) =>
    similarity ? [{ runtime, cosine: similarity.cosine }] : [],
  );
  const [low] = [...seen].sort((a, b) => a.cosine - b.cosine);
  const high = Math.max(...seen.map(({ cosine }) => cosine));
  if (!low) return [];
  const warnings: Warning[] = [];
  if (high - low.cosine > APART) {
    const message = `${low.runtime} computes something else than the other runtimes (cosine ${low.cosine.toFixed(3)}, up to ${high.toFixed(3)} elsewhere)`;
    warnings.push({ code: 'runtimes-differ', message, where });
  } else if (low.cosine < FAR) {
    const message = `its outputs are far from those of the float model (cosine ${low.cosine.toFixed(3)})`;
    warnings.push({ code: 'variant-far', message, where });
  }
  return warnings;
}

/** An error where the float model is all there is. */
export function presetUnmet(variants: readonly Variant[]) {
  const quantised = variants.filter(({ dtype }) => dtype !== 'fp32');
  if (quantised.length === 0 || quantised.some(({ isWritten }) => isWritten)) return undefined;
  const reasons = quantised.map(({ dtype, reason }) => `${dtype}: ${reason}`);
  return nothingForTheWeb(basename(variants[0]?.path ?? ''), reasons);
}

/** Figures of the report, by file. */
export function presetMetrics(variants: readonly Variant[]): object {
  return Object.fromEntries(
    variants.map(({ path, dtype, isWritten, reason, bytes, layers, trials }) => [
      basename(path),
      {
        dtype,
        written: isWritten,
        ...(reason ? { reason } : {}),
        bytes,
        layers,
        runtimes: trials.map((trial) => ({
          runtime: trial.runtime,
          status: trial.status,
          reason: trial.reason,
          cosine: trial.similarity?.cosine,
          max_abs_error: trial.similarity?.maxAbsError,
          top1_agreement: trial.similarity?.top1,
          load_ms: trial.loadMs,
          latency_ms: trial.latencyMs && { p50: trial.latencyMs, p50_float: trial.floatLatencyMs },
        })),
      },
    ]),
  );
}
