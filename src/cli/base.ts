// What every command shares: the flags of the contract, reading and writing models, the report.

import { writeFileSync } from 'node:fs';
import { extname } from 'node:path';
import { Command, Flags, type Interfaces } from '@oclif/core';
import { badFlagValue, usageProblem } from '../errors/usage.ts';
import type { Block, Json, Outcome, Report } from '../report/report.ts';
import { Reporter } from '../report/reporter.ts';
import { wantsColor } from './color.ts';
import { errorJson, reportFailure } from './failure.ts';
import { skippedWarnings } from './skipped.ts';

export const PROVIDERS = ['auto', 'cpu', 'cuda', 'tensorrt', 'webgpu', 'coreml', 'dml'] as const;
export type ProviderName = (typeof PROVIDERS)[number];

const common = {
  json: Flags.boolean({ summary: 'print the report as one JSON document', helpGroup: 'COMMON' }),
  report: Flags.string({
    summary: 'write the report to FILE (.json, .md or .html)',
    helpValue: 'FILE',
    helpGroup: 'COMMON',
  }),
  quiet: Flags.boolean({ summary: 'print errors only', helpGroup: 'COMMON' }),
  verbose: Flags.boolean({ summary: 'say more while working', helpGroup: 'COMMON' }),
  color: Flags.boolean({
    summary: 'color on a terminal',
    allowNo: true,
    default: true,
    helpGroup: 'COMMON',
  }),
  provider: Flags.option({ options: PROVIDERS })({
    summary: 'what executes the graph; auto is cuda when it loads, else cpu',
    default: 'auto',
    helpGroup: 'COMMON',
  }),
  device: Flags.integer({
    summary: 'number of the device',
    default: 0,
    min: 0,
    helpGroup: 'COMMON',
  }),
  seed: Flags.integer({
    summary: 'seed of everything random',
    default: 0,
    min: 0,
    helpGroup: 'COMMON',
  }),
  set: Flags.string({
    summary: 'fix a symbolic input dimension, as in batch=1',
    helpValue: 'NAME=VALUE',
    multiple: true,
    multipleNonGreedy: true,
    default: [],
    helpGroup: 'COMMON',
  }),
};

/** `--threads` as most commands have it; `bench` takes a list instead. */
export const threadsFlag = Flags.integer({
  summary: 'threads for execution (default: all cores)',
  min: 1,
  helpGroup: 'COMMON',
});

/** `-o` of commands that write a model. */
export const outputFlag = Flags.string({
  char: 'o',
  summary: 'where to write the model; - is standard output',
  helpValue: 'OUT',
});

type FlagsOf<T extends typeof Command> = Interfaces.InferredFlags<
  (typeof BaseCommand)['baseFlags'] & T['flags']
>;
type ArgsOf<T extends typeof Command> = Interfaces.InferredArgs<T['args']>;

export abstract class BaseCommand<T extends typeof Command = typeof Command> extends Command {
  static override baseFlags = common;

  protected flags!: FlagsOf<T>;
  protected args!: ArgsOf<T>;
  /** All positional words, for commands that take several models. */
  protected words!: string[];
  /** Names of the flags that the user wrote. */
  protected given!: ReadonlySet<string>;
  protected reporter!: Reporter;
  /** True when standard output carries the model, so that the report must not go there. */
  protected outputIsStdout = false;

  /** The command's own work. */
  protected abstract work(): Promise<Outcome>;

  override async run(): Promise<void> {
    const started = performance.now();
    const { flags, args, argv, raw } = await this.parse({
      flags: this.ctor.flags,
      baseFlags: this.ctor.baseFlags,
      args: this.ctor.args,
      strict: this.ctor.strict,
    });
    this.flags = flags as FlagsOf<T>;
    this.args = args as ArgsOf<T>;
    this.words = argv as string[];
    this.given = new Set(raw.flatMap((token) => (token.type === 'flag' ? [token.flag] : [])));
    this.reporter = new Reporter({
      quiet: flags['quiet'] as boolean,
      verbose: flags['verbose'] as boolean,
      color: this.#color(process.stderr),
      stream: process.stderr,
    });
    checkReportName(this.flags['report'] as string | undefined);
    const outcome = await this.work();
    await this.#publish(outcome, (performance.now() - started) / 1000);
  }

  /** The model argument of commands that can also do without one. */
  protected requireModel(path: string | undefined): string {
    if (path === undefined)
      throw usageProblem('no model was given', `Name an .onnx file: xform ${this.id} model.onnx`);
    return path;
  }

  /** Sizes given by `--set`, by symbol name. */
  protected get sizes(): Map<string, number> {
    const sizes = new Map<string, number>();
    for (const pair of (this.flags['set'] ?? []) as string[]) {
      const match = /^(.+)=(\d+)$/.exec(pair);
      if (!match) throw badFlagValue('set', pair, 'a name and a whole number, as in --set batch=1');
      sizes.set(match[1] as string, Number(match[2]));
    }
    return sizes;
  }

  async #publish(outcome: Outcome, seconds: number): Promise<void> {
    const warnings = [...(outcome.warnings ?? []), ...skippedWarnings()];
    for (const warning of warnings) this.reporter.warn(warning);
    const report: Report = {
      command: this.id ?? '',
      version: this.config.version,
      ...(outcome.input ? { input: outcome.input as unknown as Json } : {}),
      ...(outcome.output ? { output: outcome.output as unknown as Json } : {}),
      options: toJson({ ...this.args, ...this.flags }),
      metrics: toJson(outcome.metrics ?? {}),
      steps: toJson(outcome.steps ?? []),
      warnings: this.reporter.warnings,
      seconds: Number(seconds.toFixed(3)),
    };
    const document = outcome.unmet ? { ...report, error: errorJson(outcome.unmet) } : report;
    await this.#print(report, document, outcome.blocks);
    this.reporter.printWarnings();
    if (outcome.unmet) {
      this.reporter.error(outcome.unmet);
      process.exitCode = outcome.unmet.exitCode;
    }
  }

  async #print(report: Report, document: object, blocks: readonly Block[]): Promise<void> {
    const { renderHtml, renderMarkdown, renderText } = await import('../report/render.ts');
    const json = JSON.stringify(document, null, 2);
    const file = this.flags['report'] as string | undefined;
    if (file) {
      const kind = extname(file).toLowerCase();
      const html = () => renderHtml(report, blocks);
      const text =
        kind === '.md' ? renderMarkdown(report, blocks) : kind === '.html' ? html() : `${json}\n`;
      writeFileSync(file, text);
    }
    if (this.flags['json']) process.stdout.write(`${json}\n`);
    else if (!this.flags['quiet']) {
      const stream = this.outputIsStdout ? process.stderr : process.stdout;
      stream.write(renderText(blocks, this.#color(stream as NodeJS.WriteStream)));
    }
  }

  #color(stream: NodeJS.WriteStream): boolean {
    return (
      this.flags?.['color'] !== false && !process.argv.includes('--no-color') && wantsColor(stream)
    );
  }

  protected override async catch(error: Error & { oclif?: { exit?: number } }): Promise<void> {
    if (error.oclif?.exit === 0) throw error;
    process.exitCode = reportFailure(error, {
      json: process.argv.includes('--json'),
      verbose: process.argv.includes('--verbose'),
      color: this.#color(process.stderr),
      commands: this.config.commandIDs,
    });
  }
}

function checkReportName(file: string | undefined): void {
  if (file && !['.json', '.md', '.html'].includes(extname(file).toLowerCase())) {
    throw badFlagValue('report', file, 'a file name that ends in .json, .md or .html');
  }
}

/** What JSON can say: no undefined, no NaN, maps and sets as objects and lists. */
function toJson(value: unknown): Json {
  const text = JSON.stringify(value, (_key, v: unknown) => {
    if (v instanceof Map) return Object.fromEntries(v);
    if (v instanceof Set) return [...v];
    if (typeof v === 'bigint') return Number(v);
    return typeof v === 'number' && !Number.isFinite(v) ? null : v;
  });
  return JSON.parse(text ?? 'null') as Json;
}
