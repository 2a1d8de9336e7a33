import { Flags } from '@oclif/core';
import { dataOptionsFrom, parseAmount } from '../cli/data/flags.ts';
import { dataIdentity } from '../cli/data/identity.ts';
import { readSound } from '../cli/models.ts';
import {
  TrainingCommand,
  type TrainingFlagValues,
  trainingArgs,
  trainingFlags,
} from '../cli/train/command.ts';
import { matchBlocks, previewMatches } from '../cli/train/distill-preview.ts';
import { inferObjective } from '../cli/train/objective.ts';
import type { TeacherCacheOptions, Teaching, TrainRequest } from '../cli/train/request.ts';
import type { Batch } from '../data/dataset.ts';
import { badFlagValue } from '../errors/usage.ts';
import type { Model } from '../graph/index.ts';
import type { Outcome } from '../report/report.ts';
import { FEATURE_LOSSES, type FeatureLossName } from '../train/distillation.ts';
import { ATTENTION_PARTS, type AttentionPart, type LayerMap } from '../train/matching.ts';
import type { ObjectiveName } from '../train/objectives/index.ts';
import type { Course } from '../train/schedule.ts';

const group = { helpGroup: 'DISTILLATION' } as const;
const TEMPERATURE = 4;
const ALPHA = 0.9;
const CACHE_GB = 10;

export default class Distill extends TrainingCommand<typeof Distill> {
  static override summary = 'Train a smaller model on what a larger one says';
  static override description =
    'Teachers run inside the training graph, frozen. Labels are used where the data has them, and not needed.';
  static override examples = [
    '<%= config.bin %> distill student.onnx --teacher teacher.onnx --data train.npz --val test.npz',
    '<%= config.bin %> distill student.onnx --teacher teacher.onnx --data photos/ --method feature --feature-loss attention',
    '<%= config.bin %> distill student.onnx --teacher teacher.onnx --data photos/ --cache answers/',
    '<%= config.bin %> distill student.onnx --teacher a.onnx --teacher b.onnx --weights 2,1 --data train.npz --alpha 1',
  ];
  static override args = trainingArgs;
  static override flags = {
    ...trainingFlags,
    teacher: Flags.string({
      summary: 'the model to learn from; several are averaged',
      helpValue: 'MODEL',
      multiple: true,
      multipleNonGreedy: true,
      required: true,
      ...group,
    }),
    weights: Flags.string({
      summary: 'how much each teacher counts',
      helpValue: 'W,W,…',
      ...group,
    }),
    method: Flags.option({ options: ['logits', 'feature', 'attention'] as const })({
      summary:
        'what is compared beside the outputs (default: logits, that is nothing; feature with --match or --feature-loss)',
      ...group,
    }),
    temperature: Flags.string({
      summary: 'softens the distributions; 8:1 goes from 8 to 1 over the run (default 4)',
      helpValue: 'T[:T]',
      ...group,
    }),
    alpha: Flags.string({
      summary: 'share of what teachers say, against labels (default 0.9)',
      helpValue: 'F[:F]',
      ...group,
    }),
    soft: Flags.option({ options: ['kl', 'mse'] as const })({
      summary:
        'divergence of distributions, or squared distance of all outputs (default: what outputs are)',
      ...group,
    }),
    match: Flags.string({
      summary: 'inner tensors that are compared (default: found by shape and depth)',
      helpValue: 'STUDENT=TEACHER',
      multiple: true,
      multipleNonGreedy: true,
      default: [],
      ...group,
    }),
    'layer-map': Flags.string({
      summary: 'which layers are compared: uniform, last, or numbers from 0 as in 0=1,1=3',
      default: 'uniform',
      helpValue: 'STUDENT=TEACHER,…',
      ...group,
    }),
    attention: Flags.string({
      summary: `what method attention compares, of ${ATTENTION_PARTS.join(', ')} (default: all)`,
      helpValue: 'PART,…',
      ...group,
    }),
    'dry-run': Flags.boolean({
      summary: 'show what would be compared, and how; train nothing',
      ...group,
    }),
    'feature-loss': Flags.option({ options: Object.keys(FEATURE_LOSSES) as FeatureLossName[] })({
      summary: 'how inner tensors are compared (default: mse)',
      ...group,
    }),
    'feature-weight': Flags.string({
      summary: 'how much that counts (default 1)',
      helpValue: 'F[:F]',
      aliases: ['match-weight'],
      ...group,
    }),
    anneal: Flags.option({ options: ['linear', 'cosine'] as const })({
      summary:
        'the way from the first to the second number of --temperature, --alpha, --feature-weight',
      default: 'linear',
      ...group,
    }),
    cache: Flags.string({
      summary: 'ask teachers about all samples beforehand, and keep what they say in this folder',
      helpValue: 'DIR',
      ...group,
    }),
    'cache-limit': Flags.string({
      summary: 'gigabytes that this may take (default 10)',
      helpValue: 'GB',
      ...group,
    }),
  };
  protected readonly suffix = 'distilled';

  protected override objectiveName(model: Model, sample: Batch): ObjectiveName | undefined {
    return sample.targets.size > 0 ? inferObjective(model, sample) : undefined;
  }

  /** Here the temperature is that of the teachers, not of the contrastive loss. */
  protected override objectiveFlags(flags: TrainingFlagValues): TrainingFlagValues {
    return { ...flags, temperature: undefined };
  }

  protected override teaching(): Teaching {
    const { flags } = this;
    const weights = flags.weights?.split(',').map((text) => parseAmount('weights', text));
    if (weights && weights.length !== flags.teacher.length) {
      const wanted = `${flags.teacher.length} numbers, one for each teacher`;
      throw badFlagValue('weights', flags.weights ?? '', wanted);
    }
    const course = (flag: string, text: string) => parseCourse(flag, text, flags.anneal);
    const alpha = course('alpha', flags.alpha ?? `${ALPHA}`);
    if (Math.max(alpha.from, alpha.to) > 1) {
      throw badFlagValue('alpha', flags.alpha ?? '', 'a number from 0 to 1, or two as in 0.9:0.1');
    }
    const temperature = course('temperature', flags.temperature ?? `${TEMPERATURE}`);
    if (temperature.from * temperature.to === 0) {
      throw badFlagValue('temperature', flags.temperature ?? '', 'a number above 0');
    }
    return {
      teachers: flags.teacher.map((path, i) => ({
        model: readSound(path),
        path,
        weight: weights?.[i] ?? 1,
      })),
      method: this.#method(),
      soft: flags.soft,
      alpha,
      temperature,
      matches: flags.match.map(parseMatch),
      layerMap: parseLayerMap(flags['layer-map']),
      attention: parseParts(flags.attention),
      featureLoss: flags['feature-loss'] ?? 'mse',
      featureWeight: course('feature-weight', flags['feature-weight'] ?? '1'),
      cache: this.#cache(),
    };
  }

  protected override async preview(request: TrainRequest): Promise<Outcome | undefined> {
    if (!this.flags['dry-run']) return undefined;
    const found = await previewMatches(request);
    return { metrics: { ...found }, blocks: matchBlocks(found) };
  }

  /** Saying how inner tensors are compared asks for it. */
  #method(): Teaching['method'] {
    const { method, match, attention, 'feature-loss': loss } = this.flags;
    const isInner = match.length > 0 || loss !== undefined;
    const wanted = attention ? 'attention' : isInner ? 'feature' : 'logits';
    const isLess = method === 'logits' || (method === 'feature' && wanted === 'attention');
    if (isLess && wanted !== 'logits') {
      throw badFlagValue('method', method, `${wanted}, which other flags ask for`);
    }
    return method ?? wanted;
  }

  #cache(): TeacherCacheOptions | undefined {
    const { flags } = this;
    if (flags.cache === undefined) return undefined;
    const options = dataOptionsFrom(flags);
    return {
      folder: flags.cache,
      data: dataIdentity(flags.data ?? '', options),
      isAugmented: options.augment !== undefined,
      limit: 1e9 * parseAmount('cache-limit', flags['cache-limit'] ?? `${CACHE_GB}`),
      say: (text) => this.reporter.info(text),
    };
  }
}

/** `4`, or `8:1` from the first to the last step. */
function parseCourse(flag: string, text: string, shape: Course['shape']): Course {
  const [from = '', to = from, ...more] = text.split(':');
  if (more.length > 0) throw badFlagValue(flag, text, 'a number, or two as in 8:1');
  return { from: parseAmount(flag, from), to: parseAmount(flag, to), shape };
}

function parseLayerMap(text: string): LayerMap {
  if (text === 'uniform' || text === 'last') return text;
  return text.split(',').map((pair) => {
    const [student, teacher] = /^(\d+)=(\d+)$/.exec(pair.trim())?.slice(1).map(Number) ?? [];
    if (student !== undefined && teacher !== undefined) return [student, teacher] as const;
    throw badFlagValue('layer-map', text, 'uniform, last, or numbers of layers as in 0=1,1=3');
  });
}

function parseParts(text: string = ATTENTION_PARTS.join()): AttentionPart[] {
  return text.split(',').map((word) => {
    const part = ATTENTION_PARTS.find((name) => name === word.trim());
    if (part) return part;
    throw badFlagValue('attention', text, `one or more of ${ATTENTION_PARTS.join(', ')}`);
  });
}

function parseMatch(text: string): [string, string] {
  const at = text.indexOf('=');
  if (at < 1 || at === text.length - 1) {
    throw badFlagValue('match', text, 'two names of tensors, as in --match student=teacher');
  }
  return [text.slice(0, at), text.slice(at + 1)];
}
