// Everything that goes to standard error: progress, notes, warnings, the error block.

import { Chalk } from 'chalk';
import type { XformError } from '../errors/error.ts';
import type { Warning } from './report.ts';

export interface ReporterOptions {
  readonly quiet: boolean;
  readonly verbose: boolean;
  readonly color: boolean;
  readonly stream: NodeJS.WriteStream;
}

/** One piece of work that may take a while. */
export interface Step {
  advance(amount?: number): void;
  done(): void;
}

const BAR_DELAY_MS = 1000;

export class Reporter {
  readonly warnings: Warning[] = [];
  #isOnStatus = false;
  readonly #options: ReporterOptions;
  readonly #chalk: InstanceType<typeof Chalk>;

  constructor(options: ReporterOptions) {
    this.#options = options;
    this.#chalk = new Chalk({ level: options.color ? 1 : 0 });
  }

  /** A line for everyone who did not ask for quiet. */
  info(text: string): void {
    if (!this.#options.quiet) this.#line(text);
  }

  /** Where long work stands: one line that is written over on a terminal, a line each elsewhere. */
  status(text: string): void {
    const { quiet, stream } = this.#options;
    if (quiet) return;
    if (stream.isTTY) stream.write(`\r\u001b[K${text}`);
    else this.#line(text);
    this.#isOnStatus = stream.isTTY;
  }

  /** A line for --verbose. */
  detail(text: string): void {
    if (this.#options.verbose) this.#line(this.#chalk.dim(text));
  }

  /** Goes to the report, and to standard error at the end of the run. */
  warn(warning: Warning): void {
    this.warnings.push(warning);
  }

  printWarnings(): void {
    if (this.#options.quiet) return;
    for (const { message, where } of this.warnings) {
      this.#line(`${this.#chalk.yellow('warning:')} ${where ? `${where}: ` : ''}${message}`);
    }
  }

  /** A bar, once the work has taken a second, on a terminal; a plain line elsewhere. */
  step(text: string, total?: number): Step {
    const { quiet, verbose, stream } = this.#options;
    const tty = stream.isTTY && !quiet;
    if (!tty && verbose) this.#line(text);
    let done = 0;
    let bar: { update(n: number): void; stop(): void } | undefined;
    const timer = tty
      ? setTimeout(() => void this.#openBar(text, total).then(show), BAR_DELAY_MS)
      : undefined;
    let over = false;
    const show = (opened: { update(n: number): void; stop(): void }) => {
      if (over) opened.stop();
      else bar = opened;
      bar?.update(done);
    };
    return {
      advance: (amount = 1) => {
        done += amount;
        bar?.update(done);
      },
      done: () => {
        over = true;
        clearTimeout(timer);
        bar?.stop();
      },
    };
  }

  async #openBar(text: string, total?: number) {
    const { default: progress } = await import('cli-progress');
    const bar = new progress.SingleBar({
      stream: this.#options.stream,
      clearOnComplete: true,
      hideCursor: true,
      format: total
        ? `${text} {bar} {value}/{total} {eta_formatted}`
        : `${text} {duration_formatted}`,
    });
    bar.start(total ?? 0, 0);
    return bar;
  }

  error(error: XformError): void {
    const head = this.#chalk.red.bold('error:');
    this.#line(`${head} ${error.message}`);
    if (error.where) this.#line(`  at: ${error.where}`);
    if (error.hint) this.#line(`  ${this.#chalk.cyan('try:')} ${error.hint}`);
    if (this.#options.verbose && error.stack) this.#line(this.#chalk.dim(error.stack));
  }

  #line(text: string): void {
    // Ends the line of a status that stands on the terminal.
    this.#options.stream.write(`${this.#isOnStatus ? '\n' : ''}${text}\n`);
    this.#isOnStatus = false;
  }
}
