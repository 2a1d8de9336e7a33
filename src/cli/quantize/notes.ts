// What is said before anything is quantised: what is missing, what is there already.

import { noCalibrationData } from '../../errors/calibrate.ts';
import { allGraphs, type Model } from '../../graph/index.ts';
import { halfAdvice } from '../../passes/quantize/half.ts';
import { IMPROVEMENTS, improvementsNamed } from '../../passes/quantize/improve/index.ts';
import type { Settings } from '../../passes/quantize/settings.ts';
import type { Table, Warning } from '../../report/report.ts';
import type { Target } from '../../targets/target.ts';

/** Throws where the settings need to see activations and there is no data. */
export function requireData(settings: Settings, data: string | undefined): void {
  if (data !== undefined) return;
  const { mode, algorithm } = settings;
  if (mode === 'static') throw noCalibrationData(`mode ${mode}`);
  if (mode === 'weights' && (algorithm === 'gptq' || algorithm === 'awq')) {
    throw noCalibrationData(`algorithm ${algorithm}`);
  }
  const needy = improvementsNamed(settings.improvements).find((one) => one.needsData);
  if (needy) throw noCalibrationData(`improvement ${needy.name}`);
}

const QUANTIZED =
  /^(QLinear|DynamicQuantize|QAttention|QGemm|MatMulNBits|MatMulBnb4|GatherBlock)|Integer$|^DequantizeLinear$/;

/** What of a model is quantised already: it is left as it is. */
export function notQuantized(model: Model): Warning[] {
  const counts = new Map<string, number>();
  for (const graph of allGraphs(model)) {
    for (const { op } of graph.nodes) {
      if (QUANTIZED.test(op)) counts.set(op, (counts.get(op) ?? 0) + 1);
    }
  }
  if (counts.size === 0) return [];
  const list = [...counts].map(([op, count]) => `${count} ${op}`).join(', ');
  const message = `the model is quantised already in part (${list}); only the float rest is quantised`;
  return [{ code: 'already-quantized', message }];
}

/** What to expect of a mode on a target, where it is not what one would think. */
export function adviceFor({ mode, keepIo }: Settings, target: Target): Warning[] {
  if (mode !== 'fp16' && mode !== 'bf16') return [];
  const message = halfAdvice({ type: mode, keepIo }, target);
  return message === undefined ? [] : [{ code: 'smaller-not-faster', message }];
}

export function improvementTable(): Table {
  return {
    title: 'Improvements in their order',
    columns: [{ name: 'improvement' }, { name: 'needs data' }, { name: 'what it does' }],
    rows: IMPROVEMENTS.map(({ name, needsData, summary }) => [
      name,
      needsData ? 'yes' : '',
      summary,
    ]),
  };
}
