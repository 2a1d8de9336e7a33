// Greedy search: always the likeliest token.

import { type Decoder, type GenerateOptions, highest } from './decoder.ts';

/** The new tokens after each prompt; prompts are of one length. */
export async function greedy(
  decoder: Decoder,
  prompts: readonly (readonly number[])[],
  { maxNewTokens, eos }: GenerateOptions,
): Promise<number[][]> {
  const rows = prompts.map((prompt) => [...prompt]);
  let alive = rows.map((_, index) => index);
  let from: number[] = alive;
  for (let i = 0; i < maxNewTokens && alive.length > 0; i++) {
    const logits = await decoder.step(
      alive.map((index) => rows[index] as number[]),
      from,
    );
    const tokens = logits.map(highest);
    from = [...tokens.keys()].filter((row) => !eos.includes(tokens[row] as number));
    for (const row of from) rows[alive[row] as number]?.push(tokens[row] as number);
    alive = from.map((row) => alive[row] as number);
  }
  return rows.map((row, index) => row.slice(prompts[index]?.length));
}
