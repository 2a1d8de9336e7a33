// Errors of providers: what was asked for by name cannot run here. Exit code 5.

import { XformError } from './error.ts';

/** This build of the runtime does not know the provider at all. */
export function providerNotBuilt(
  name: string,
  platform: string,
  known: readonly string[],
): XformError {
  return new XformError({
    kind: 'provider',
    code: 'provider-not-built',
    message: `provider "${name}" is not part of onnxruntime-node on ${platform}, which has ${known.join(', ')}`,
    hint: 'Leave --provider out, and the best one that runs here is taken.',
  });
}

/** The provider is known, but its libraries are not all there. */
export function providerLibrariesMissing(
  name: string,
  missing: readonly string[],
  hint: string,
): XformError {
  return new XformError({
    kind: 'provider',
    code: 'provider-libraries-missing',
    message: `provider "${name}" cannot run: ${missing.join(', ')} ${missing.length === 1 ? 'is' : 'are'} missing`,
    hint,
  });
}

/** It was tried and did not run. */
export function providerFailed(name: string, reason: string, hint?: string): XformError {
  return new XformError({
    kind: 'provider',
    code: 'provider-failed',
    message: `provider "${name}" cannot run: ${reason}`,
    ...(hint ? { hint } : {}),
  });
}
