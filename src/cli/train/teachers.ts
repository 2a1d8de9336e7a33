// Teachers of a training run: what is held against what, and where their words come from. They stand in
// the student's graph, frozen; or they were asked beforehand, and what they said is fed like data.

import { notBySample, nothingToMatch } from '../../errors/distill.ts';
import { type Model, printShape, Value } from '../../graph/index.ts';
import type { Feeds } from '../../tensor/feeds.ts';
import { comparedOutputs, distilled, project, type Soft, softFor } from '../../train/distill.ts';
import { graft, keepAll, sharedInputs, TEACHER } from '../../train/graft.ts';
import { attentionMatches, type Match, namedMatches, stageMatches } from '../../train/matching.ts';
import type { Objective } from '../../train/objectives/objective.ts';
import type { InputOf } from '../../train/plan.ts';
import { inputOf } from '../../train/step.ts';
import type { Matched, Teaching, TrainRequest } from './request.ts';
import { fittedTeacher } from './teacher-fit.ts';

export interface Taught {
  readonly objective: Objective;
  readonly projections: readonly Value[];
  /** Outputs. */
  readonly compared: readonly Matched[];
  /** Inner tensors. */
  readonly matched: readonly Matched[];
  readonly lessons: readonly Lesson[];
}

/** What one teacher is asked beforehand. */
export interface Lesson {
  readonly path: string;
  /** As it was read. */
  readonly original: Model;
  /** For one batch; its outputs are what is asked for. */
  readonly model: Model;
  /** The student's inputs by the teacher's. */
  readonly inputs: ReadonlyMap<string, string>;
  /** Inputs of the training graph that take the outputs, in their order. */
  readonly fed: readonly InputOf[];
}

/** The objective of the request, with what teachers say in the graph where there are some. */
export async function teach(request: TrainRequest, model: Model, sample: Feeds): Promise<Taught> {
  const { objective, teaching } = request;
  if (!teaching) {
    if (!objective) throw new Error('neither an objective nor a teacher');
    return { objective, projections: [], compared: [], matched: [], lessons: [] };
  }
  const found: Match[] = [];
  const names: string[] = [];
  const compared: Matched[] = [];
  const lessons: Lesson[] = [];
  const teachers: { outputs: Value[]; weight: number }[] = [];
  const soft = softFor(model.graph, objective, teaching.soft);
  const sum = teaching.teachers.reduce((total, { weight }) => total + weight, 0);
  for (const [i, teacher] of teaching.teachers.entries()) {
    const { plain, said } = await fittedTeacher(teacher, model, soft, request, sample);
    const matches = teaching.method === 'logits' ? [] : matchesOf(teaching, model, plain);
    const weight = teacher.weight / sum;
    const whose = teaching.teachers.length > 1 ? `${teacher.path}: ` : '';
    names.push(...matches.map((match) => `${whose}${match.teacher.name}`));
    compared.push(...outputsOf(model, said, soft, whose));
    if (teaching.cache) {
      const { path, model: original } = teacher;
      const { lesson, heard } = listen(
        model,
        plain,
        [...said, ...matches.map((m) => m.teacher)],
        i,
      );
      lessons.push({ path, original, ...lesson });
      teachers.push({ outputs: said.map((value) => heard.get(value) as Value), weight });
      found.push(...matches.map((m) => ({ ...m, teacher: heard.get(m.teacher) as Value })));
    } else {
      graft(model, plain, `${TEACHER}${i}/`);
      teachers.push({ outputs: said, weight });
      found.push(...matches);
    }
  }
  if (teaching.method !== 'logits' && found.length === 0) throw nothingToMatch(teaching.method);
  const { matches, projections } = project(model, found, teaching.featureLoss, request.seed);
  const matched = found.map((match, i) => ({
    ...matchedOf(match, matches[i] as Match, teaching),
    teacher: names[i] ?? '',
  }));
  const objectiveOf = distilled({
    ...teaching,
    soft,
    hard: objective,
    teachers,
    features: matches,
  });
  return { objective: objectiveOf, projections, compared, matched, lessons };
}

function outputsOf(student: Model, said: readonly Value[], soft: Soft, whose: string): Matched[] {
  return comparedOutputs(student.graph.outputs, soft).map((output, i) => ({
    student: output.name,
    studentShape: printShape(output.shape),
    teacher: `${whose}${said[i]?.name}`,
    teacherShape: printShape(said[i]?.shape),
    by: COMPARED_BY[soft],
    isProjected: false,
  }));
}

const COMPARED_BY = {
  kl: 'divergence',
  chances: 'divergence of each chance',
  mse: 'squared distance',
};

/** Inputs of the student's graph in the place of the teacher's values. */
function listen(model: Model, teacher: Model, wanted: readonly Value[], number: number) {
  keepAll(teacher);
  const inputs = [...sharedInputs(model, teacher)].map(
    ([own, value]) => [own.name, value?.name ?? own.name] as const,
  );
  const heard = new Map<Value, Value>();
  const batch = teacher.graph.inputs[0]?.shape?.[0];
  for (const value of wanted) {
    if (heard.has(value)) continue;
    if (value.shape?.[0] !== batch) throw notBySample(value.name, printShape(value.shape));
    const input = new Value(model.graph.fresh(`${TEACHER}${number}/${value.name}`), value.type);
    model.graph.inputs.push(input);
    heard.set(value, input);
  }
  teacher.graph.outputs = [...heard.keys()];
  const fed = [...heard.values()].map(inputOf);
  return { heard, lesson: { model: teacher, inputs: new Map(inputs), fed } };
}

function matchesOf(teaching: Teaching, student: Model, teacher: Model): Match[] {
  if (teaching.matches.length > 0) return namedMatches(student, teacher, teaching.matches);
  if (teaching.method === 'feature') return stageMatches(student, teacher, teaching.layerMap);
  return attentionMatches(student, teacher, teaching.layerMap, teaching.attention);
}

function matchedOf(
  { kind, student, teacher }: Match,
  compared: Match,
  { featureLoss }: Teaching,
): Matched {
  return {
    student: student.name,
    studentShape: printShape(student.shape),
    teacher: teacher.name,
    teacherShape: printShape(teacher.shape),
    by: kind === 'state' ? featureLoss : RELATIONS[kind],
    isProjected: compared.student !== student,
  };
}

const RELATIONS = { map: 'divergence of attention', value: 'divergence of value relations' };
