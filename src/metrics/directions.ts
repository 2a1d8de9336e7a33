// Which way is up: for every metric, whether higher or lower values are better.

type Direction = 'higher' | 'lower';

/** By name; a name with a suffix (`precision_macro`, `recall_at_5`) stands under what comes before. */
const DIRECTIONS: Record<string, Direction> = {
  accuracy: 'higher',
  top: 'higher',
  precision: 'higher',
  recall: 'higher',
  f1: 'higher',
  auroc: 'higher',
  ece: 'lower',
  loss: 'lower',
  mae: 'lower',
  rmse: 'lower',
  mape: 'lower',
  smape: 'lower',
  mase: 'lower',
  r2: 'higher',
  ap: 'higher',
  ar: 'higher',
  miou: 'higher',
  dice: 'higher',
  pixel: 'higher',
  perplexity: 'lower',
  bits: 'lower',
  exact: 'higher',
  bleu: 'higher',
  chrf: 'higher',
  spearman: 'higher',
  hit: 'higher',
  ndcg: 'higher',
  mrr: 'higher',
};

/** Undefined for a name that is no metric of a task. */
export function directionOf(metric: string): Direction | undefined {
  // `top5`, `ap50` and `precision_macro` end in what they vary in; `f1` and `r2` are whole.
  const [first = ''] = metric.split('_');
  return DIRECTIONS[first] ?? DIRECTIONS[first.replace(/\d+$/, '')];
}
