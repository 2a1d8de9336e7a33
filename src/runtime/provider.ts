// Which execution providers run here. Each is tried on a small model in a process of its own; a
// provider that is asked for by name and cannot run is an error, never a silent run on the CPU.

import { providerFailed, providerLibrariesMissing, providerNotBuilt } from '../errors/provider.ts';
import { Builder, Graph, Model, tensorType } from '../graph/index.ts';
import { encodeModel } from '../onnx/index.ts';
import { Tensor } from '../tensor/tensor.ts';
import { type ProbeAnswer, runInChild } from './child-tasks.ts';
import { cleanMessage } from './clean-message.ts';
import { isInstalled, type Library, mend } from './libraries.ts';
import { CONCRETE_PROVIDERS, type Provider } from './options.ts';
import { fromWire, toWire } from './protocol.ts';
import { scratchFolder } from './scratch.ts';

export type ProviderName = Provider | 'auto';

export interface Resolved {
  readonly provider: Provider;
  readonly device: number;
  /** Why `auto` did not take a provider that is installed. */
  readonly note?: string;
}

export interface Probe {
  readonly provider: Provider;
  readonly runs: boolean;
  /** Why not. */
  readonly reason?: string;
  /** What to do about it. */
  readonly hint?: string;
  /** `not-built`: this build does not know it; `libraries`: some are missing; `failed`: it was tried. */
  readonly problem?: 'not-built' | 'libraries' | 'failed';
  readonly libraries: readonly Library[];
  /** What this build of the binding knows. */
  readonly backends: readonly string[];
}

/** What traces call the providers. */
const EXECUTION_PROVIDERS: Readonly<Record<Provider, string>> = {
  cpu: 'CPUExecutionProvider',
  cuda: 'CUDAExecutionProvider',
  tensorrt: 'TensorrtExecutionProvider',
  webgpu: 'WebGpuExecutionProvider',
  coreml: 'CoreMLExecutionProvider',
  dml: 'DmlExecutionProvider',
};

/** The name that profiles show for a provider. */
export function executionProvider(provider: Provider): string {
  return EXECUTION_PROVIDERS[provider];
}

/** Turns `--provider` and `--device` into a provider that has been seen to run. */
export async function resolveProvider(name: ProviderName, device = 0): Promise<Resolved> {
  if (name === 'cpu') return { provider: 'cpu', device: 0 };
  if (name !== 'auto') {
    const probe = await probeProvider(name, device);
    if (!probe.runs) throw providerError(probe);
    return { provider: name, device };
  }
  if (!mayHaveCuda()) return { provider: 'cpu', device: 0 };
  const probe = await probeProvider('cuda', device);
  if (probe.runs) return { provider: 'cuda', device };
  return {
    provider: 'cpu',
    device: 0,
    note: `cuda is installed but does not run: ${probe.reason}`,
  };
}

/** Tries every provider. */
export async function probeAll(): Promise<Probe[]> {
  const probes: Probe[] = [];
  for (const provider of CONCRETE_PROVIDERS) probes.push(await probeProvider(provider, 0));
  return probes;
}

/** Runs a small model on the provider and looks whether it was really there. */
export async function probeProvider(provider: Provider, device: number): Promise<Probe> {
  const trial = smallModel();
  const folder = scratchFolder();
  const { probe, failure } = await runInChild(
    {
      task: 'probe',
      provider,
      device,
      folder: folder.path,
      model: await encodeModel(trial.model),
      feeds: await toWire(trial.feeds),
      want: ['y'],
    },
    TRIAL_MS,
  );
  folder.remove();
  if (!probe) {
    const reason = failure ?? 'it gave no answer';
    return { provider, runs: false, reason, problem: 'failed', libraries: [], backends: [] };
  }
  const judged = judge(provider, probe, trial.expected);
  return { provider, ...judged, libraries: probe.libraries, backends: probe.backends };
}

const TRIAL_MS = 120_000;

function judge(
  provider: Provider,
  probe: ProbeAnswer,
  expected: readonly number[],
): Pick<Probe, 'runs' | 'reason' | 'hint' | 'problem'> {
  if (!probe.known) {
    return { runs: false, problem: 'not-built', reason: 'not part of this build of onnxruntime' };
  }
  const missing = probe.libraries.filter((library) => !library.path);
  if (probe.failure !== undefined) {
    const reason = cleanMessage(probe.failure).message;
    const hint = mend(provider, probe.libraries);
    if (missing.length === 0) return { runs: false, problem: 'failed', reason };
    return { runs: false, problem: 'libraries', reason, ...(hint ? { hint } : {}) };
  }
  if (!probe.ran?.includes(executionProvider(provider))) {
    const ran = probe.ran?.join(', ') || 'nothing';
    return { runs: false, problem: 'failed', reason: `it loads, but ${ran} ran the nodes` };
  }
  const y =
    fromWire(probe.results ?? [])
      .get('y')
      ?.numbers() ?? [];
  if (y.length === expected.length && y.every((value, i) => value === expected[i])) {
    return { runs: true };
  }
  const reason = `it computed ${y.join(' ')} where ${expected.join(' ')} is right`;
  return { runs: false, problem: 'failed', reason };
}

function providerError(probe: Probe) {
  const { provider, reason = 'it does not run', hint } = probe;
  const platform = `${process.platform}-${process.arch}`;
  if (probe.problem === 'not-built') return providerNotBuilt(provider, platform, probe.backends);
  if (probe.problem === 'libraries') {
    const missing = probe.libraries.filter((library) => !library.path).map(({ name }) => name);
    const error = providerLibrariesMissing(provider, missing, hint ?? '');
    return hint ? error : providerFailed(provider, reason);
  }
  return providerFailed(provider, reason, hint);
}

/** Spares machines without CUDA the price of a trial in every run. */
function mayHaveCuda(): boolean {
  return process.platform === 'linux' && process.arch === 'x64' && isInstalled('cuda');
}

/** y = Relu(x W): operators that every provider has, in numbers that every precision holds. */
function smallModel() {
  const graph = new Graph('trial');
  const g = new Builder(graph);
  const x = g.input('x', tensorType('float32', [2, 2]));
  const w = g.constant('w', Tensor.of('float32', [2, 2], [1, -3, 2, 1]));
  const y = g.output(g.op('Relu', [g.op('MatMul', [x, w])]), 'y');
  y.type = tensorType('float32', [2, 2]);
  const feeds = new Map([['x', Tensor.of('float32', [2, 2], [1, 2, 3, 4])]]);
  return { model: new Model(graph, new Map([['', 13]]), 7), feeds, expected: [5, 0, 11, 0] };
}
