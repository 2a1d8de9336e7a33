// The search for layers that must not be quantised, or less: a scan of what each layer costs by
// itself, then the worst are given up until the model is good enough. A trial makes a model with
// chosen layers and says how good it is (1 is as the original).

export interface Sensitivity {
  readonly layer: string;
  /** Score of the model of which only this layer is quantised. */
  readonly score: number;
}

/** Scores each layer by itself, the most sensitive one first; equal ones in their order. */
export async function scanLayers(
  layers: readonly string[],
  scoreOf: (layer: string) => Promise<number>,
  onLayer?: (layer: string) => void,
): Promise<Sensitivity[]> {
  const found: Sensitivity[] = [];
  for (const layer of layers) {
    onLayer?.(layer);
    found.push({ layer, score: await scoreOf(layer) });
  }
  return found.sort((a, b) => a.score - b.score);
}

export interface Exclusion<T> {
  readonly excluded: readonly string[];
  readonly score: number;
  readonly result: T;
  readonly trials: number;
  /** Whether the floor is reached. */
  readonly met: boolean;
}

/**
 * The fewest of the most sensitive layers to leave out so that the score reaches `floor`: bisection
 * over their number, as more left out is at least as good but for noise; then each one left out is
 * taken in again if the score still holds, the least sensitive first.
 */
export async function excludeWorst<T>(
  worstFirst: readonly string[],
  floor: number,
  attempt: (excluded: ReadonlySet<string>) => Promise<{ score: number; result: T }>,
): Promise<Exclusion<T>> {
  let trials = 0;
  const tried = async (excluded: readonly string[]) => {
    trials += 1;
    return { excluded, ...(await attempt(new Set(excluded))) };
  };
  const none = await tried([]);
  if (none.score >= floor) return { ...none, trials, met: true };
  let low = 0;
  let high = worstFirst.length;
  let best = await tried(worstFirst);
  if (best.score < floor) return { ...best, trials, met: false };
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    const found = await tried(worstFirst.slice(0, middle));
    if (found.score >= floor) [best, high] = [found, middle];
    else low = middle;
  }
  for (const layer of [...best.excluded].reverse().slice(0, RECONSIDERED)) {
    const fewer = best.excluded.filter((other) => other !== layer);
    const found = await tried(fewer);
    if (found.score >= floor) best = found;
  }
  return { ...best, trials, met: true };
}

/** Layers that are tried again at the end; each costs a trial. */
const RECONSIDERED = 8;
