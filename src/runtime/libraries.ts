// Shared libraries that providers need, and where the dynamic linker would find them (Linux).
// Names: onnxruntime's CUDA provider of the pinned version, built for CUDA 12 and cuDNN 9.

import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { Provider } from './options.ts';

export interface Library {
  readonly name: string;
  /** Where it was found; undefined when the linker would not find it. */
  readonly path: string | undefined;
  /** A copy outside of the linker's search path. */
  readonly elsewhere?: string;
}

/** The command that fetches what npm could not carry. */
export const INSTALL_COMMAND =
  'node node_modules/onnxruntime-node/script/install.js --onnxruntime-node-install';

const CUDA_LIBRARIES = [
  'libcudart.so.12',
  'libcublas.so.12',
  'libcublasLt.so.12',
  'libcufft.so.11',
  'libcurand.so.10',
  'libcudnn.so.9',
];

const NEEDED: Partial<Record<Provider, { bundled: readonly string[]; system: readonly string[] }>> =
  {
    cuda: {
      bundled: ['libonnxruntime_providers_shared.so', 'libonnxruntime_providers_cuda.so'],
      system: ['libcuda.so.1', ...CUDA_LIBRARIES],
    },
    tensorrt: {
      bundled: ['libonnxruntime_providers_shared.so', 'libonnxruntime_providers_tensorrt.so'],
      system: ['libcuda.so.1', ...CUDA_LIBRARIES, 'libnvinfer.so.10', 'libnvonnxparser.so.10'],
    },
    webgpu: { bundled: [], system: ['libvulkan.so.1'] },
  };

/** Where NVIDIA's installers and Python packages put libraries without telling the linker. */
const USUAL_PLACES = ['/usr/local/cuda/lib64', '/usr/local/cuda-12/lib64', '/opt/cuda/lib64'];

/** The folder of the native library. */
export function nativeFolder(): string {
  const { resolve } = createRequire(import.meta.url);
  const root = dirname(resolve('onnxruntime-node/package.json'));
  return join(root, 'bin', 'napi-v6', process.platform, process.arch);
}

/** Whether what npm does not carry for this provider has been installed. */
export function isInstalled(provider: Provider): boolean {
  return (NEEDED[provider]?.bundled ?? []).every((name) => existsSync(join(nativeFolder(), name)));
}

/** Every library a provider needs, found or not; `searchPath` is LD_LIBRARY_PATH. */
export function findLibraries(provider: Provider, searchPath = ''): Library[] {
  const needed = NEEDED[provider];
  if (!needed || process.platform !== 'linux') return [];
  const folders = searchPath.split(':').filter(Boolean);
  const cache = linkerCache();
  return [
    ...needed.bundled.map((name) => {
      const path = join(nativeFolder(), name);
      return { name, path: existsSync(path) ? path : undefined };
    }),
    ...needed.system.map((name) => {
      const path = firstExisting(folders, name) ?? cache.get(name);
      const elsewhere = path ? undefined : firstExisting(USUAL_PLACES, name);
      return { name, path, ...(elsewhere ? { elsewhere } : {}) };
    }),
  ];
}

/** What to do about libraries that are missing. */
export function mend(provider: Provider, libraries: readonly Library[]): string {
  const missing = libraries.filter((library) => !library.path);
  const advice: string[] = [];
  if (missing.some(({ name }) => name.startsWith('libonnxruntime_'))) {
    advice.push(`Run "${INSTALL_COMMAND}" to fetch onnxruntime's part (several hundred MB).`);
  }
  if (missing.some(({ name }) => name === 'libcuda.so.1')) {
    advice.push('Install the NVIDIA driver.');
  }
  const elsewhere = missing.find((library) => library.elsewhere)?.elsewhere;
  if (elsewhere) advice.push(`Put "${dirname(elsewhere)}" into LD_LIBRARY_PATH.`);
  const toolkit = missing.filter(({ name, elsewhere: found }) => !found && isToolkit(name));
  if (toolkit.length > 0) advice.push('Install the CUDA 12 runtime libraries and cuDNN 9.');
  if (missing.some(({ name }) => name.startsWith('libnv'))) advice.push('Install TensorRT 10.');
  if (provider === 'webgpu') advice.push('Install a Vulkan driver for the GPU (libvulkan1).');
  return advice.join(' ');
}

function isToolkit(name: string): boolean {
  return CUDA_LIBRARIES.includes(name);
}

function firstExisting(folders: readonly string[], name: string): string | undefined {
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

/** Libraries by name as ldconfig lists them; where it is missing, the standard folders. */
function linkerCache(): Map<string, string> {
  for (const program of ['ldconfig', '/sbin/ldconfig']) {
    try {
      const text = execFileSync(program, ['-p'], { encoding: 'utf8', stdio: 'pipe' });
      const lines = text.matchAll(/^\s+(\S+) \([^)]*\) => (\S+)$/gm);
      return new Map([...lines].map(([, name = '', path = '']) => [name, path]));
    } catch {
      // Not here: the next one, or the folders themselves.
    }
  }
  const folders = ['/lib', '/usr/lib', '/lib64', '/usr/lib64', '/usr/local/lib'].filter(existsSync);
  return new Map(
    folders.flatMap((folder) => readdirSync(folder).map((name) => [name, join(folder, name)])),
  );
}
