import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { unzipSync, zipSync } from 'fflate';
import { readModel } from '../../src/onnx/index.ts';
import { type Run, xform } from '../helpers/cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform-distill-'));
const at = (name: string) => join(folder, name);
const data = ['--data', 'fixtures/digits-train.npz', '--val', 'fixtures/digits-test.npz'];
const TEACHER = 'fixtures/digits.onnx';
afterAll(() => rmSync(folder, { recursive: true, force: true }));

beforeAll(async () => {
  const flags = ['--in', '1x8x8', '--width', '4', '--hidden', '16', '--classes', '10'];
  const made = await xform(['init', 'cnn', ...flags, '-o', at('student.onnx')]);
  expect(made.code).toBe(0);
}, 30_000);

const metrics = (run: Run) =>
  (JSON.parse(run.stdout) as { metrics: { validation: Record<string, number> } }).metrics
    .validation;
const distill = (...flags: string[]) =>
  xform(['distill', at('student.onnx'), '-o', at('out.onnx'), '--json', ...data, ...flags]);

describe('xform distill', () => {
  it('teaches a student without labels', async () => {
    const run = await distill(
      '--teacher',
      TEACHER,
      '--alpha',
      '1',
      '--epochs',
      '6',
      '--lr',
      '0.01',
    );
    expect(run.code).toBe(0);
    expect(metrics(run)['accuracy']).toBeGreaterThan(0.85);
    const [before, after] = [readModel(at('student.onnx')), readModel(at('out.onnx'))];
    expect([...after.graph.nodes].length).toBe([...before.graph.nodes].length);
    const names = (model: typeof after) => [...model.graph.initializers].map(({ name }) => name);
    expect(names(after)).toEqual(names(before));
  }, 60_000);

  it('lets temperature and weights change over the run', async () => {
    const courses = ['--temperature', '8:1', '--alpha', '0.9:0.1', '--match-weight', '1:0'];
    const flags = ['--method', 'feature', '--anneal', 'cosine', '--epochs', '4', '--lr', '0.01'];
    const run = await distill('--teacher', TEACHER, ...courses, ...flags);
    expect(run.code).toBe(0);
    expect(metrics(run)['accuracy']).toBeGreaterThan(0.8);
  }, 60_000);

  it.each(['mse', 'cosine', 'attention', 'similarity', 'relational'])(
    'compares features by %s',
    async (loss) => {
      const flags = [
        '--method',
        'feature',
        '--feature-loss',
        loss,
        '--steps',
        '40',
        '--lr',
        '0.01',
      ];
      const run = await distill('--teacher', TEACHER, ...flags);
      expect(run.stderr).not.toMatch(/error/);
      expect(run.code).toBe(0);
    },
    60_000,
  );

  it.each<[string, string[]]>([
    ['logits', []],
    ['features', ['--method', 'feature']],
    ['two teachers', ['--teacher', TEACHER, '--method', 'feature', '--weights', '2,1']],
    ['epochs of other images', ['--augment', 'shift=1']],
  ])(
    'learns the same from what teachers said before: %s',
    async (name, more) => {
      const cache = ['--cache', at(`cache ${name}`)];
      const steps = ['--batch', '256', '--epochs', '2', '--optimizer', 'sgd', '--lr', '0.01'];
      const learned = async (...flags: string[]) => {
        const run = await distill('--teacher', TEACHER, ...more, ...steps, ...flags);
        expect(run.code).toBe(0);
        const { graph } = readModel(at('out.onnx'));
        const weights = [...graph.initializers].flatMap(({ data: own }) => own?.numbers() ?? []);
        return { stderr: run.stderr, weights };
      };
      const [inside, first] = [await learned(), await learned(...cache)];
      expect(first.stderr).toMatch(/asking .*digits\.onnx.* \(.*[kM]B.*samples.* for /);
      const again = await learned(...cache);
      expect(again.stderr).toMatch(/asked before/);
      expect(again.weights).toEqual(first.weights);
      const distance = (other: readonly number[]) =>
        Math.hypot(...other.map((value, i) => value - (inside.weights[i] ?? 0)));
      const before = readModel(at('student.onnx')).graph.initializers;
      const start = [...before].flatMap(({ data: own }) => own?.numbers() ?? []);
      expect(distance(start)).toBeGreaterThan(0.01);
      expect(distance(first.weights)).toBeLessThan(1e-3 * distance(start));
    },
    120_000,
  );

  it('asks anew what has changed, and says what that is; refuses what is too large', async () => {
    const flags = ['--teacher', TEACHER, '--steps', '2', '--cache', at('changing')];
    expect((await distill(...flags)).code).toBe(0);
    const [made] = readdirSync(at('changing'));
    const index = JSON.parse(readFileSync(at(`changing/${made}/index.json`), 'utf8')) as object;
    expect(index).toMatchObject({ kind: 'xform-teacher-cache' });
    const fewer = await distill(...flags, '--limit', '320');
    expect(fewer.stderr).toMatch(/other data: asking anew/);
    expect(readdirSync(at('changing')).length).toBe(2);
    writeFileSync(at('file'), '');
    const nowhere = await distill(...flags.slice(0, -1), at('file'));
    expect(nowhere.code).toBe(3);
    expect(nowhere.stderr).toMatch(/not a folder/);
    const large = await distill(...flags, '--method', 'feature', '--cache-limit', '0.00001');
    expect(large.code).toBe(2);
    expect(large.stderr).toMatch(/takes .*samples.*, but --cache-limit allows 10/);
    expect(readdirSync(at('changing')).length).toBe(2);
  }, 60_000);

  it('shows what would be compared, and trains nothing', async () => {
    const run = await distill('--teacher', TEACHER, '--method', 'feature', '--dry-run');
    expect(run.code).toBe(0);
    const { metrics: found } = JSON.parse(run.stdout) as {
      metrics: { compared: Record<string, unknown>[]; matched: Record<string, unknown>[] };
    };
    expect(found.compared).toMatchObject([
      { student: 'logits', teacher: 'logits', studentShape: '[32, 10]', by: 'divergence' },
    ]);
    expect(found.matched).toMatchObject([
      { studentShape: '[32, 4, 8, 8]', teacherShape: '[32, 16, 8, 8]', isProjected: true },
      { studentShape: '[32, 8, 4, 4]', teacherShape: '[32, 32, 4, 4]', isProjected: true },
    ]);
    const text = await xform([
      ...['distill', at('student.onnx'), '--teacher', TEACHER, '--dry-run'],
      ...['--data', 'fixtures/digits-train.npz', '--method', 'feature'],
      ...['-o', at('none.onnx')],
    ]);
    expect(text.stdout).toMatch(/student +shape +teacher +shape +compared by/);
    expect(text.stdout).toMatch(/mse, through a learned projection/);
    expect(existsSync(at('none.onnx'))).toBe(false);
  }, 60_000);

  it('compares inner tensors of the names that it shows, without --method', async () => {
    const shown = await distill('--teacher', TEACHER, '--feature-loss', 'cosine', '--dry-run');
    const { metrics: found } = JSON.parse(shown.stdout) as {
      metrics: { matched: { student: string; teacher: string; by: string }[] };
    };
    expect(found.matched.map(({ by }) => by)).toEqual(['cosine', 'cosine']);
    const [{ student, teacher } = { student: '', teacher: '' }] = found.matched;
    const match = `${student}=${teacher}`;
    const run = await distill('--teacher', TEACHER, '--match', match, '--steps', '2');
    expect(run.stderr).toContain(`compared: ${match}\n`);
    expect(run.code).toBe(0);
  }, 60_000);

  it('--attention: maps, states and values, of a fused teacher, too', async () => {
    const teacher = 'fixtures/digits-transformer.onnx';
    const made = [
      ['shrink', teacher, '--width', '0.5', '--no-bench', '-o', at('narrow.onnx')],
      ['optimize', teacher, '--level', 'extended', '-o', at('fused.onnx')],
    ];
    for (const args of made) expect((await xform(args)).code).toBe(0);
    const kinds = async (...flags: string[]) => {
      const run = await xform([
        ...['distill', at('narrow.onnx'), '--teacher', at('fused.onnx'), '--dry-run', '--json'],
        ...['--data', 'fixtures/digits-train.npz', ...flags],
      ]);
      const { metrics: found } = JSON.parse(run.stdout) as {
        metrics: { matched: { by: string; isProjected: boolean }[] };
      };
      return found.matched.map(({ by, isProjected }) => (isProjected ? `${by}, projected` : by));
    };
    const [map, value] = ['divergence of attention', 'divergence of value relations'];
    const states = ['mse, projected', 'mse, projected'];
    expect(await kinds('--method', 'attention')).toEqual([map, value, map, value, ...states]);
    expect(await kinds('--attention', 'states')).toEqual(states);
    expect(await kinds('--attention', 'maps', '--layer-map', 'last')).toEqual([map]);
  }, 60_000);

  it('validates without labels on what teachers say', async () => {
    const bare = ['--data', at('bare.npz'), '--val', at('bare.npz')];
    const arrays = unzipSync(readFileSync('fixtures/digits-test.npz'));
    writeFileSync(
      at('bare.npz'),
      zipSync({ 'image.npy': arrays['image.npy'] ?? new Uint8Array() }),
    );
    const run = await xform([
      ...['distill', at('student.onnx'), '--teacher', TEACHER, '--method', 'feature', '--json'],
      ...[...bare, '--steps', '20', '--lr', '0.01', '-o', at('out.onnx')],
    ]);
    expect(run.code).toBe(0);
    const { loss, soft } = metrics(run);
    expect(loss).toBeGreaterThan(0);
    expect(loss).toBe(soft);
  }, 60_000);

  it('goes on to the same bytes after a stop, and with the same teacher only', async () => {
    const flags = [...data, '--schedule', 'constant', '--quiet'];
    const make = (steps: number, out: string, ...more: string[]) =>
      xform([
        ...['distill', at('student.onnx'), '-o', at(out), '--steps', `${steps}`, ...flags],
        ...(more.includes('--teacher') ? more : ['--teacher', TEACHER, ...more]),
      ]);
    await make(30, 'whole.onnx');
    await make(11, 'parts.onnx');
    await make(30, 'parts.onnx', '--resume');
    expect(readFileSync(at('parts.onnx')).equals(readFileSync(at('whole.onnx')))).toBe(true);
    const other = await make(40, 'parts.onnx', '--resume', '--teacher', at('student.onnx'));
    expect(other.code).toBe(3);
    expect(other.stderr).toMatch(/teacher key is \w{12}, not \w{12}/);
  }, 60_000);

  it.each([
    ['a teacher of other classes', ['--teacher', 'other.onnx'], 3, /\[32, 7\] where the student/],
    [
      'a tensor that is not there',
      ['--teacher', TEACHER, '--method', 'feature', '--match', 'a=b'],
      2,
      /"a"/,
    ],
    ['weights for fewer teachers', ['--teacher', TEACHER, '--weights', '1,2'], 2, /1,2/],
    ['an alpha above 1', ['--teacher', TEACHER, '--alpha', '2'], 2, /"2"/],
    ['a temperature of nothing', ['--teacher', TEACHER, '--temperature', '8:0'], 2, /"8:0"/],
    ['a layer map of words', ['--teacher', TEACHER, '--layer-map', 'first'], 2, /"first"/],
    [
      'inner tensors without a method for them',
      ['--teacher', TEACHER, '--method', 'logits', '--feature-loss', 'mse'],
      2,
      /"logits".*\n.*feature/,
    ],
    ['parts of attention', ['--teacher', TEACHER, '--attention', 'heads'], 2, /maps, values/],
    ['a way of three numbers', ['--teacher', TEACHER, '--alpha', '1:0:1'], 2, /"1:0:1"/],
    ['no teacher', [], 2, /teacher/],
  ] as const)(
    'refuses %s',
    async (_, flags, code, message) => {
      await xform(['init', 'mlp', '--in', '1x8x8', '--classes', '7', '-o', at('other.onnx')]);
      const args = flags.map((flag) => (flag === 'other.onnx' ? at(flag) : flag));
      const run = await xform([
        'distill',
        at('student.onnx'),
        '-o',
        at('no.onnx'),
        ...data,
        ...args,
      ]);
      expect(run.stderr).toMatch(message);
      expect(run.code).toBe(code);
      expect(existsSync(at('no.onnx'))).toBe(false);
    },
    30_000,
  );
});

describe('distillation together with', () => {
  /** Operators that were written, and how many of their weights are zero. */
  async function written(...flags: string[]) {
    const run = await distill('--teacher', TEACHER, '--steps', '60', '--lr', '0.01', ...flags);
    expect(run.stderr).not.toMatch(/error/);
    expect(run.code).toBe(0);
    const { graph } = readModel(at('out.onnx'));
    const weights = [...graph.initializers].map(({ data: own }) => own);
    const large = weights.filter((own) => own?.dtype === 'float32' && own.size > 60);
    const all = large.flatMap((own) => own?.numbers() ?? []);
    return {
      ops: new Set([...graph.nodes].map(({ op }) => op)),
      names: [...graph.initializers].map(({ name }) => name),
      size: all.length,
      zeros: all.filter((value) => value === 0).length / all.length,
    };
  }
  const features = ['--method', 'feature'];

  it('--qat', async () => {
    const { ops, names } = await written('--qat', 'int8', ...features, '--feature-loss', 'cosine');
    expect(ops).toContain('DequantizeLinear');
    expect(names.filter((name) => name.includes('projection'))).toEqual([]);
  }, 60_000);

  it('--prune-schedule', async () => {
    const flags = ['--prune-schedule', 'magnitude', '--prune-final', '0.8', ...features];
    expect((await written(...flags)).zeros).toBeCloseTo(0.8, 1);
    const whole = await written(...features);
    const cut = ['--prune-schedule', 'structured', '--prune-final', '0.5', ...features];
    expect((await written(...cut)).size).toBeLessThan(0.6 * whole.size);
  }, 60_000);

  it('--lora, quantised and pruned at once, from answers kept', async () => {
    const flags = ['--lora', '4', '--qat', 'int8', '--cache', at('cache of all'), ...features];
    const { ops, names } = await written(...flags);
    expect(ops).toContain('DequantizeLinear');
    expect(names.filter((name) => /lora|projection/.test(name))).toEqual([]);
  }, 60_000);

  it.each(['qdq', 'qoperator'])(
    'a teacher quantised as %s',
    async (format) => {
      const flags = ['--mode', 'static', '--format', format, '--no-keep-faster', '--quiet'];
      const teacher = at(`${format}.onnx`);
      const made = ['quantize', TEACHER, '-o', teacher, ...flags, ...data.slice(0, 2)];
      expect((await xform(made)).code).toBe(0);
      const steps = ['--alpha', '1', '--steps', '132', '--lr', '0.01'];
      const inside = await distill('--teacher', teacher, ...steps);
      expect(metrics(inside)['accuracy']).toBeGreaterThan(0.8);
      const cached = await distill('--teacher', teacher, ...steps, '--cache', at(`kept ${format}`));
      expect(metrics(cached)['accuracy']).toBeGreaterThan(0.8);
    },
    60_000,
  );
});

describe('what training changes of a model', () => {
  const train = (out: string, ...flags: string[]) =>
    xform(['train', TEACHER, '-o', at(out), '--json', ...data, ...flags]);

  it('low-rank changes are merged: same graph, other weights, few of them trained', async () => {
    const flags = ['--lora', '2', '--steps', '20', '--lora-out', at('lora.safetensors')];
    const run = await train('lora.onnx', ...flags);
    expect(run.code).toBe(0);
    const [before, after] = [readModel(TEACHER), readModel(at('lora.onnx'))];
    const weights = (model: typeof after) => [...model.graph.initializers];
    expect(weights(after).map(({ name }) => name)).toEqual(weights(before).map(({ name }) => name));
    const changed = weights(after).filter(
      ({ data: own }, i) =>
        !Buffer.from(own?.bytes() ?? []).equals(weights(before)[i]?.data?.bytes() ?? Buffer.of()),
    );
    expect(changed.length).toBeGreaterThan(0);
    for (const { data: own } of changed) expect(own?.shape.length).toBeGreaterThan(1);
    expect(existsSync(at('lora.safetensors'))).toBe(true);
    expect(metrics(run)['accuracy']).toBeGreaterThan(0.9);
  }, 60_000);

  it('--expand-classes keeps what the old classes know', async () => {
    const run = await train('more.onnx', '--expand-classes', '12', '--steps', '1', '--lr', '1e-9');
    expect(run.code).toBe(0);
    const [output] = readModel(at('more.onnx')).graph.outputs;
    expect(output?.shape?.at(-1)).toBe(12);
    expect(metrics(run)['accuracy']).toBeGreaterThan(0.8);
  }, 60_000);

  it('--head gives new classes', async () => {
    const run = await train('head.onnx', '--head', 'classify:10', '--epochs', '2', '--lr', '0.01');
    expect(run.code).toBe(0);
    expect(metrics(run)['accuracy']).toBeGreaterThan(0.9);
  }, 60_000);
});
