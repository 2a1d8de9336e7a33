import { Args, Flags } from '@oclif/core';
import {
  type Architecture,
  architectureNamed,
  architectures,
  type Choices,
  flagOf,
} from '../archs/index.ts';
import { BaseCommand, outputFlag } from '../cli/base.ts';
import { writeOutput } from '../cli/models.ts';
import { setSizes } from '../cli/sizes.ts';
import { badFlagValue } from '../errors/usage.ts';
import { printType, type Value } from '../graph/index.ts';
import { dimToJson } from '../inspect/summary.ts';
import { modelCost } from '../ops/cost.ts';
import { inferTypes } from '../ops/index.ts';
import { formatBytes, formatCount, type Outcome } from '../report/report.ts';

const size = (summary: string) => Flags.string({ summary, helpValue: 'N', helpGroup: 'SIZES' });

export default class Init extends BaseCommand<typeof Init> {
  static override summary = 'Write an untrained model of a known architecture';
  static override description = [
    'Weights start as in the papers; the batch, and the length of sequences, are left open.',
    '',
    ...architectures.map((a) => `${a.name.padEnd(12)} ${a.summary}: ${takes(a)}`),
  ].join('\n');
  static override examples = [
    '<%= config.bin %> init resnet50 -o resnet50.onnx --classes 10',
    '<%= config.bin %> init mlp -o mlp.onnx --in 13 --hidden 64,64 --classes 3',
    '<%= config.bin %> init gpt -o small.onnx --vocab 65 --hidden 128 --layers 4 --heads 4 --seq 128',
    '<%= config.bin %> init resnet18 -o fixed.onnx --set batch=1 --seed 7',
  ];
  static override args = {
    arch: Args.string({
      description: architectures.map((a) => a.name).join(', '),
      required: true,
      ignoreStdin: true,
    }),
  };
  static override flags = {
    output: outputFlag,
    'external-data': Flags.boolean({ summary: 'keep weights in a file beside the model' }),
    in: Flags.string({
      summary: 'one sample: 3x224x224 for an image, 13 for a vector',
      helpValue: 'AxBxC',
      helpGroup: 'SIZES',
    }),
    classes: size('number of classes'),
    hidden: Flags.string({
      summary: 'hidden size; a list for mlp',
      helpValue: 'N,N',
      helpGroup: 'SIZES',
    }),
    layers: size('number of layers, or stages'),
    heads: size('attention heads'),
    vocab: size('number of tokens'),
    seq: size('longest sequence'),
    patch: size('side of an image patch'),
    width: size('channels of the first layer; for mobilenetv2 a factor on all'),
    'mlp-dim': size('inner size of the feed-forward layers'),
    dropout: size('share of the elements that training drops (bert, gpt, transformer)'),
    head: Flags.string({
      summary: 'what the model ends in: none or mlm (bert), last or steps (lstm)',
      helpGroup: 'SIZES',
    }),
    bidirectional: Flags.boolean({ summary: 'read sequences both ways (lstm)' }),
  };

  protected override async work(): Promise<Outcome> {
    const architecture = architectureNamed(this.args.arch);
    const output = this.flags.output ?? `${architecture.name}.onnx`;
    this.outputIsStdout = output === '-';
    const model = architecture.build(this.#choices(), this.flags.seed);
    setSizes(model, this.sizes);
    const step = this.reporter.step(`writing ${output}`);
    const externalData = this.flags['external-data'];
    const written = await writeOutput(model, output, { externalData });
    step.done();
    inferTypes(model);
    const cost = modelCost(model);
    const macs = dimToJson(cost.macs);
    const ports = (word: string, values: readonly Value[]) =>
      values.map((v): [string, string] => [word, `${v.name}: ${printType(v.type)}`]);
    return {
      output: written,
      metrics: { parameters: cost.trainable, macs },
      blocks: [
        {
          title: output,
          facts: [
            [
              'parameters',
              `${formatCount(cost.trainable)} (${cost.trainable.toLocaleString('en')})`,
            ],
            ['file', formatBytes(written.bytes)],
            ['work', typeof macs === 'number' ? `${formatCount(macs)}MAC` : `${macs} MAC`],
            ...ports('input', model.graph.inputs),
            ...ports('output', model.graph.outputs),
          ],
        },
      ],
    };
  }

  /** Only what was given: defaults are the architecture's. */
  #choices(): Partial<Choices> {
    const { flags } = this;
    const given = {
      in: numbers('in', flags.in, 'x'),
      classes: numbers('classes', flags.classes)?.[0],
      hidden: numbers('hidden', flags.hidden, ','),
      layers: numbers('layers', flags.layers)?.[0],
      heads: numbers('heads', flags.heads)?.[0],
      vocab: numbers('vocab', flags.vocab)?.[0],
      seq: numbers('seq', flags.seq)?.[0],
      patch: numbers('patch', flags.patch)?.[0],
      width: numbers('width', flags.width)?.[0],
      mlpDim: numbers('mlp-dim', flags['mlp-dim'])?.[0],
      dropout: numbers('dropout', flags.dropout)?.[0],
      head: flags.head,
      bidirectional: flags.bidirectional || undefined,
    };
    return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  }
}

/** `1x28x28`, `256,128` or one number; the architecture says which sizes make sense. */
function numbers(flag: string, text: string | undefined, separator?: string) {
  if (text === undefined) return undefined;
  const parts = separator ? text.split(separator) : [text];
  if (parts.some((part) => !/^\d+(\.\d+)?$/.test(part))) {
    throw badFlagValue(flag, text, separator ? `numbers with "${separator}" between` : 'a number');
  }
  return parts.map(Number);
}

/** `--in 3x224x224 --classes 1000`, and the flags that have no default. */
function takes({ defaults, optional }: Architecture): string {
  const given = Object.entries(defaults).map(([key, value]) => {
    if (typeof value === 'boolean') return `--${flagOf(key)}`;
    const text = Array.isArray(value) ? value.join(key === 'in' ? 'x' : ',') : String(value);
    return `--${flagOf(key)} ${text}`;
  });
  return [...given, ...optional.map((key) => `--${flagOf(key)}`)].join(' ');
}
