// How a session is made: our options, and what onnxruntime calls them.

export const CONCRETE_PROVIDERS = ['cpu', 'cuda', 'tensorrt', 'webgpu', 'coreml', 'dml'] as const;

/** A provider that executes; `auto` is resolved to one of these by `provider.ts`. */
export type Provider = (typeof CONCRETE_PROVIDERS)[number];

export type Optimization = 'disabled' | 'basic' | 'extended' | 'all';

export interface SessionOptions {
  /** Default: cpu. */
  readonly provider?: Provider;
  /** Number of the device, for providers that have several. */
  readonly device?: number;
  /** Threads of one run; default: the physical cores this process may use. */
  readonly threads?: number;
  /** onnxruntime's own graph optimisation. Default: all, as onnxruntime itself. */
  readonly optimization?: Optimization;
  /** Sizes for symbolic dimensions, by name. */
  readonly freeDims?: ReadonlyMap<string, number>;
  /** Writes a trace to `<prefix>_<time>.json`. */
  readonly profilePrefix?: string;
  /**
   * Pins what may change results from run to run or trade accuracy for speed, for comparisons:
   * quantised MatMuls are computed as written, sums in a fixed order.
   */
  readonly exact?: boolean;
  /** QuantizeLinear and DequantizeLinear are computed as they stand, and never fused to integer kernels. */
  readonly keepPairs?: boolean;
  /** Worker threads sleep at once after a run, so that sessions measured in turn are not disturbed. */
  readonly stopSpinning?: boolean;
  /** Worker threads sleep whenever they have nothing to do: for sessions of few, long operations. */
  readonly neverSpinning?: boolean;
}

/** Options in onnxruntime-node's words. */
export function toOrtOptions(options: SessionOptions): object {
  const { provider = 'cpu', device = 0 } = options;
  const config: Record<string, string> = {};
  if (options.exact) {
    config['qdq_matmulnbits_accuracy_level'] = '0';
    config['use_deterministic_compute'] = '1';
  }
  if (options.keepPairs) {
    config['disable_quant_qdq'] = '1';
    config['disable_double_qdq_remover'] = '1';
  }
  if (options.stopSpinning) config['force_spinning_stop'] = '1';
  if (options.neverSpinning) config['intra_op.allow_spinning'] = '0';
  return {
    executionProviders: executionProviders(provider, device),
    graphOptimizationLevel: options.optimization ?? 'all',
    logSeverityLevel: 4,
    ...(options.threads ? { intraOpNumThreads: options.threads } : {}),
    ...(options.freeDims?.size
      ? { freeDimensionOverrides: Object.fromEntries(options.freeDims) }
      : {}),
    ...(options.profilePrefix
      ? { enableProfiling: true, profileFilePrefix: options.profilePrefix }
      : {}),
    // DirectML allows neither memory patterns nor parallel execution (its documentation).
    ...(provider === 'dml' ? { enableMemPattern: false, executionMode: 'sequential' } : {}),
    extra: { session: config },
  };
}

function executionProviders(provider: Provider, device: number): object[] {
  const named = { name: provider, ...(takesDevice(provider) ? { deviceId: device } : {}) };
  // What TensorRT does not take runs on CUDA rather than on the CPU.
  return provider === 'tensorrt' ? [named, { name: 'cuda', deviceId: device }] : [named];
}

function takesDevice(provider: Provider): boolean {
  return provider === 'cuda' || provider === 'tensorrt' || provider === 'dml';
}
