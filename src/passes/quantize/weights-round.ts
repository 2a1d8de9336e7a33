// Which algorithm rounds which weight. To the nearest, or half-quadratically: computed when somebody
// reads the result. With feedback: at once, while what the data says about its inputs is in memory.
// Weights that an algorithm cannot see the inputs of are rounded to the nearest.

import { weightNotFinite } from '../../errors/model.ts';
import { algorithmNeedsData } from '../../errors/usage.ts';
import type { Model } from '../../graph/index.ts';
import { scaleByActivation } from './awq.ts';
import type { QuantizeContext } from './context.ts';
import { eachFeedback, feedsOf, type Share } from './gptq.ts';
import type { Choice, WeightsOptions } from './weights-plan.ts';
import { type Rounding, WeightStore } from './weights-store.ts';
import type { PackedTensors } from './weights-tensors.ts';

export interface Rounded {
  readonly tensors: PackedTensors;
  /** Why it was rounded to the nearest. */
  readonly reason?: string | undefined;
}

export async function roundShares(
  model: Model,
  shares: readonly Share[],
  options: WeightsOptions,
  context: QuantizeContext,
): Promise<Map<Share, Rounded>> {
  const { algorithm } = options;
  const store = new WeightStore();
  const rounded = new Map<Share, Rounded>();
  const isPlain = algorithm === 'rtn' || algorithm === 'hqq';
  const fed = isPlain ? [] : shares.filter((share) => typeof feedsOf(model, share) !== 'string');
  const { calibration } = context;
  if (!isPlain && !calibration) throw algorithmNeedsData(algorithm);
  let factors = new Map<Share, Float64Array>();
  if (algorithm === 'awq' && calibration) {
    factors = await scaleByActivation(model, fed, calibration, context);
  } else if (algorithm === 'gptq' && calibration) {
    await eachFeedback(model, fed, calibration, context, async (share, feedback) => {
      const rounding = { ...roundingOf(share, 'gptq'), feedback };
      const tensors = await store.quantized(matrixOf(share), rounding, refusal(model, share));
      rounded.set(share, { tensors });
    });
  }
  const results = new Map<Share, Rounded>();
  for (const share of shares) {
    const rounding = {
      ...roundingOf(share, isPlain ? algorithm : 'rtn'),
      factors: factors.get(share),
    };
    results.set(
      share,
      rounded.get(share) ?? {
        tensors: store.tensors(matrixOf(share), rounding, refusal(model, share)),
        reason: isPlain ? undefined : whyNearest(model, share),
      },
    );
  }
  return results;
}

function whyNearest(model: Model, share: Share): string | undefined {
  const why = feedsOf(model, share);
  const isTable = share.every(({ weighted }) => weighted.kind === 'gather');
  return typeof why === 'string' && !isTable ? `rounded to the nearest: ${why}` : undefined;
}

function roundingOf([choice]: Share, algorithm: Rounding['algorithm']): Rounding {
  const { scheme, form, perChannel } = choice as Choice;
  return { scheme, algorithm, layout: form === 'nbits' ? 'blocks' : 'stored', perChannel };
}

function matrixOf([choice]: Share) {
  return (choice as Choice).weighted.matrix;
}

function refusal(model: Model, [choice]: Share): () => never {
  const { value, node } = (choice as Choice).weighted;
  const [name, reader] = [value.name, node.describe()];
  return () => {
    throw weightNotFinite(name, reader, model.path);
  };
}
