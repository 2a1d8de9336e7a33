import { createRequire } from 'node:module';
import { BaseCommand } from '../cli/base.ts';
import { type Block, formatBytes, type Outcome } from '../report/report.ts';
import { describeHardware, type Hardware } from '../runtime/hardware.ts';
import { type Probe, probeAll } from '../runtime/provider.ts';

const REQUIRED_NODE = [20, 19] as const;

export default class Doctor extends BaseCommand<typeof Doctor> {
  static override summary = 'Try what this machine can run: providers, libraries, instruction sets';
  static override examples = ['<%= config.bin %> doctor', '<%= config.bin %> doctor --json'];

  protected override async work(): Promise<Outcome> {
    const hardware = describeHardware();
    const node = process.versions.node;
    const onnxruntime = String(
      createRequire(import.meta.url)('onnxruntime-node/package.json').version,
    );
    const step = this.reporter.step('Trying providers');
    const probes = await probeAll();
    step.done();
    const nodeIsRecent = isRecent(node);
    const broken = probes.find((probe) => probe.provider === 'cpu' && !probe.runs);
    return {
      metrics: {
        xform: this.config.version,
        node,
        onnxruntime,
        providers: Object.fromEntries(probes.map((probe) => [probe.provider, toJson(probe)])),
        hardware: hardwareJson(hardware),
      },
      warnings: [
        ...(nodeIsRecent
          ? []
          : [
              {
                code: 'old-node',
                message: `Node ${node} is older than ${REQUIRED_NODE.join('.')}`,
              },
            ]),
        ...(broken
          ? [{ code: 'no-cpu', message: `the cpu provider does not run: ${broken.reason}` }]
          : []),
      ],
      blocks: [
        {
          title: 'Programs',
          facts: [
            ['xform', this.config.version],
            ['Node', `${node}${nodeIsRecent ? '' : ` (needs ${REQUIRED_NODE.join('.')})`}`],
            ['onnxruntime', onnxruntime],
            ['platform', hardware.platform],
          ],
        },
        machine(hardware),
        providerTable(probes),
        ...mending(probes),
      ],
    };
  }
}

function isRecent(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [needMajor, needMinor] = REQUIRED_NODE;
  return major > needMajor || (major === needMajor && minor >= needMinor);
}

function toJson({ runs, problem, reason, hint, libraries }: Probe): object {
  return { runs, problem: problem ?? null, reason: reason ?? null, hint: hint ?? null, libraries };
}

function hardwareJson(hardware: Hardware): object {
  const { memoryBytes, freeMemoryBytes, instructionSets, gpus, ...rest } = hardware;
  return {
    ...rest,
    memory_bytes: memoryBytes,
    free_memory_bytes: freeMemoryBytes,
    instruction_sets: Object.fromEntries(instructionSets.map((set) => [set.name, set.present])),
    gpus: gpus.map(({ memoryBytes: memory, ...gpu }) => ({ ...gpu, memory_bytes: memory })),
  };
}

function machine({ cpu, cores, instructionSets, gpus, ...memory }: Hardware): Block {
  const list = (present: boolean) =>
    instructionSets
      .filter((set) => set.present === present)
      .map((set) => (present ? `${set.name} (${set.use})` : set.name))
      .join(', ') || 'none';
  const quota = cores.quota === undefined ? '' : `, quota ${cores.quota}`;
  return {
    title: 'Machine',
    facts: [
      ['processor', cpu],
      ['cores', `${cores.physical ?? '?'} physical, ${cores.logical} usable${quota}`],
      ['threads used', String(cores.used)],
      ['memory', `${formatBytes(memory.memoryBytes)}, ${formatBytes(memory.freeMemoryBytes)} free`],
      ['instructions', list(true)],
      ['not there', list(false)],
      ['GPU', gpus.map((gpu) => `${gpu.name}, driver ${gpu.driver}`).join('; ') || 'none seen'],
    ],
  };
}

function providerTable(probes: readonly Probe[]): Block {
  return {
    title: 'Providers',
    columns: [{ name: 'provider' }, { name: 'runs' }, { name: 'why not' }],
    rows: probes.map(({ provider, runs, reason = '' }) => [provider, runs ? 'yes' : 'no', reason]),
  };
}

function mending(probes: readonly Probe[]): Block[] {
  return probes.flatMap(({ provider, libraries, hint, runs }) => {
    if (runs || libraries.length === 0) return [];
    return [
      {
        title: `Libraries for ${provider}`,
        columns: [{ name: 'library' }, { name: 'found' }],
        rows: libraries.map(({ name, path, elsewhere }) => [
          name,
          path ?? (elsewhere ? `only at ${elsewhere}` : 'missing'),
        ]),
      },
      ...(hint ? [{ text: `To mend ${provider}: ${hint}` }] : []),
    ];
  });
}
