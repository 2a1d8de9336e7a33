// A recipe: the settings and the precision of single layers that a search has found, as a JSON file
// that can be replayed on the same model, or on its next version.

import { badRecipe } from '../../errors/usage.ts';
import type { Model } from '../../graph/index.ts';
import { allGraphs } from '../../graph/index.ts';
import { layerName, PRECISIONS, type Precision } from './context.ts';
import { MODES, type Settings } from './settings.ts';

export interface Recipe {
  readonly settings: Settings;
  /** Layers that are not what the mode would make of them, by name. */
  readonly layers: ReadonlyMap<string, Precision>;
}

const KIND = 'xform-quantize-recipe';
const VERSION = 1;

export function printRecipe({ settings, layers }: Recipe): string {
  const sorted = [...layers].sort(([a], [b]) => (a < b ? -1 : 1));
  const document = { kind: KIND, version: VERSION, settings, layers: Object.fromEntries(sorted) };
  return `${JSON.stringify(document, null, 2)}\n`;
}

/** Throws where the text is not a recipe of this version. */
export function parseRecipe(text: string, path: string): Recipe {
  const found = parseJson(text, path) as {
    kind?: unknown;
    version?: unknown;
    settings?: Partial<Settings>;
    layers?: Record<string, unknown>;
  };
  if (found?.kind !== KIND) throw badRecipe(path, `it is not a recipe: "kind" is not "${KIND}"`);
  if (found.version !== VERSION) {
    throw badRecipe(path, `its version is ${found.version}, and this program reads ${VERSION}`);
  }
  const { settings, layers = {} } = found;
  if (!settings?.mode || !MODES.includes(settings.mode)) {
    throw badRecipe(path, `"settings.mode" is "${settings?.mode}", not one of ${MODES.join(', ')}`);
  }
  for (const [layer, precision] of Object.entries(layers)) {
    if (PRECISIONS.includes(precision as Precision)) continue;
    const known = PRECISIONS.join(', ');
    throw badRecipe(path, `layer "${layer}" is to be "${precision}", not one of ${known}`);
  }
  return {
    settings: settings as Settings,
    layers: new Map(Object.entries(layers) as [string, Precision][]),
  };
}

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw badRecipe(path, `it is not JSON (${error instanceof Error ? error.message : error})`);
  }
}

/** Layers of a recipe that a model does not have. */
export function unknownLayers(recipe: Recipe, model: Model): string[] {
  const known = new Set<string>();
  for (const graph of allGraphs(model)) for (const node of graph.nodes) known.add(layerName(node));
  return [...recipe.layers.keys()].filter((layer) => !known.has(layer));
}
