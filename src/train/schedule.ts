// What changes over a run as a function of the step: the learning rate, with warm-up to a peak and the
// way down, and courses, numbers that go from one value to another. All functions are pure, so that a resumed run goes on where it was.

export interface ScheduleSettings {
  readonly peak: number;
  readonly steps: number;
  /** Steps of the linear way up. */
  readonly warmup: number;
  /** The last rate as a share of the peak. */
  readonly floor: number;
  /** `step`: the rate is multiplied by `factor` every `every` steps. */
  readonly every: number;
  readonly factor: number;
}

type Shape = (progress: number, step: number, s: ScheduleSettings) => number;

const cosine = (progress: number) => (1 + Math.cos(Math.PI * progress)) / 2;

/** Share of the peak after `progress` (0 … 1) of the steps behind the warm-up. */
export const SCHEDULES = {
  constant: () => 1,
  linear: (progress, _, { floor }) => 1 - (1 - floor) * progress,
  cosine: (progress, _, { floor }) => floor + (1 - floor) * cosine(progress),
  step: (_, step, { every, factor }) => factor ** Math.floor(step / Math.max(1, every)),
  /** Up to the peak in 30 % of the steps, down to nearly nothing (Smith and Topin 2019). */
  onecycle: (_, step, { steps }) => {
    const [start, end, share] = [1 / 25, 1e-4 / 25, 0.3];
    const up = Math.max(1, share * steps - 1);
    if (step <= up) return 1 - (1 - start) * cosine(step / up);
    return end + (1 - end) * cosine((step - up) / Math.max(1, steps - 1 - up));
  },
  /** Constant until validation stops getting better; then the trainer lowers it. */
  plateau: () => 1,
} satisfies Record<string, Shape>;

export type ScheduleName = keyof typeof SCHEDULES;

/** The rate of a step, from 0. */
export function rateAt(name: ScheduleName, step: number, s: ScheduleSettings): number {
  const shape: Shape = SCHEDULES[name];
  if (name === 'onecycle') return s.peak * shape(0, step, s);
  if (step < s.warmup) return (s.peak * (step + 1)) / s.warmup;
  const rest = Math.max(1, s.steps - s.warmup);
  return s.peak * shape(Math.min(1, (step - s.warmup) / rest), step - s.warmup, s);
}

/** A number that goes from one value to another over the whole run. */
export interface Course {
  readonly from: number;
  readonly to: number;
  readonly shape: 'linear' | 'cosine';
}

/** A course that stays where it is. */
export function constant(value: number): Course {
  return { from: value, to: value, shape: 'linear' };
}

/** The value at `step` of `steps`: `from` at the first one, `to` at the last one. */
export function courseAt({ from, to, shape }: Course, step: number, steps: number): number {
  const progress = Math.min(1, step / Math.max(1, steps - 1));
  const left = shape === 'linear' ? 1 - progress : cosine(progress);
  return to + (from - to) * left;
}
