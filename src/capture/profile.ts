import { LibError } from '../core/errors.js';
import { specOf } from '../core/spec.js';
import { type Cost, costOf } from '../program/cost.js';
import type { Step } from '../program/program.js';
import type { Device } from '../tensor/device.js';
import { isTensor, type Tensor } from '../tensor/tensor.js';
import { type Compiled, compile } from './compile.js';
import { formatProfile } from './profileText.js';
import type { Replay } from './replay.js';

/** Steps of a program that are alike: one kernel over one set of shapes. */
export interface ProfileRow extends Cost {
  /** The op, or the ops that were fused into one. */
  readonly name: string;
  readonly family: string;
  /** Shapes of what it reads and writes. */
  readonly shapes: string;
  /** How many such steps a run has. */
  readonly calls: number;
  /** Milliseconds of all of them in a run. */
  readonly ms: number;
  /** The time that arithmetic or memory alone would take, divided by the time taken; 1 is the machine's limit. */
  readonly shareOfLimit: number;
}

/** What the machine can do at most, as measured beside the profile. */
export interface MachineLimits {
  /** Billions of float32 operations a second, all threads together; 0: not known. */
  readonly gflops: number;
  /** Billions of bytes a second that a copy of memory moves. */
  readonly gbps: number;
}

/** A stretch of the program for which a temporary is kept. */
export interface Lifetime {
  /** The op that made it. */
  readonly name: string;
  readonly bytes: number;
  readonly firstStep: number;
  readonly lastStep: number;
}

export interface MemoryProfile {
  /** Bytes of the arena: all temporaries together, by lifetime. */
  readonly arena: number;
  /** Bytes of tensors that stay: parameters, optimizer state, gradients, constants. */
  readonly fixed: number;
  readonly arguments: number;
  /** Step at which most temporaries are alive, and what they are, largest first. */
  readonly peakStep: number;
  readonly atPeak: readonly Lifetime[];
}

/** Where the time and the memory of a step go. `String(profile)` is a table, `trace()` a file for a tracing page. */
export interface Profile {
  readonly device: string;
  /** Milliseconds of a whole run in one call, median. */
  readonly ms: number;
  /** Of the arithmetic, per second. */
  readonly gflops: number;
  readonly limits: MachineLimits;
  /** Slowest first. */
  readonly rows: readonly ProfileRow[];
  readonly memory: MemoryProfile;
  /** JSON of trace events, as the tracing pages of Chromium browsers and Perfetto open it. */
  trace(): string;
  toString(): string;
}

export interface ProfileOptions {
  /** Runs that are timed; they count as calls of the function. Default 10. */
  readonly runs?: number;
}

/**
 * Times a compiled function kernel by kernel: each kernel runs `runs` times, in the order of the program, on the given arguments.
 * The calls are real ones: a training step trains.
 * @example
 * const step = compile((x: Tensor) => x.matmul(x).relu().sum());
 * console.log(String(profile(step, [randn([64, 64])])));
 */
export function profile<Args extends readonly unknown[], R>(
  fn: Compiled<Args, R> | ((...args: Args) => R),
  args: Args,
  { runs = 10 }: ProfileOptions = {},
): Profile {
  if (!Number.isInteger(runs) || runs < 1) throw new LibError('option', `profile: runs must be a positive integer, got ${runs}.`);
  const compiled = 'replayOf' in fn ? fn : compile(fn);
  compiled(...args); // captures, and warms up
  const replay = compiled.replayOf(...args);
  if (replay === null) throw new LibError('capture', 'profile: a compiled function cannot be profiled inside another one.');
  const tensors = args.flatMap(function tensorsIn(value: unknown): Tensor[] {
    if (isTensor(value)) return [value];
    return typeof value === 'object' && value !== null ? Object.values(value).flatMap(tensorsIn) : [];
  });
  const wholes: number[] = [];
  const times: number[][] = replay.steps.map(() => []);
  for (let run = 0; run < runs; run++) {
    const started = performance.now();
    compiled(...args);
    wholes.push(performance.now() - started);
    replay.runTimed(tensors, (step, ms) => times[step]?.push(ms));
  }
  return assemble(replay, median(wholes), times.map(median), limitsOf(replay.device));
}

function assemble(replay: Replay, ms: number, stepMs: readonly number[], limits: MachineLimits): Profile {
  const { steps, device } = replay;
  const rows = rowsOf(steps, stepMs, limits);
  const flops = rows.reduce((n, r) => n + r.flops * r.calls, 0);
  const facts = { device: device.describe(), ms, gflops: flops / ms / 1e6, limits, rows, memory: replay.memoryProfile() };
  return { ...facts, trace: () => traceOf(steps, stepMs, facts.device), toString: () => formatProfile(facts) };
}

function rowsOf(steps: readonly (Step & { readonly name: string })[], stepMs: readonly number[], limits: MachineLimits): ProfileRow[] {
  const rows = new Map<string, { calls: number; ms: number; step: Step & { readonly name: string } }>();
  steps.forEach((step, i) => {
    const key = `${step.name} ${step.kernel.family} ${shapesOf(step)}`;
    const row = rows.get(key) ?? { calls: 0, ms: 0, step };
    row.calls++;
    row.ms += stepMs[i] ?? 0;
    rows.set(key, row);
  });
  const made = [...rows.values()].map(({ calls, ms, step }): ProfileRow => {
    const cost = costOf(step);
    const limit = Math.max(limits.gflops > 0 ? cost.flops / limits.gflops / 1e6 : 0, cost.bytes / limits.gbps / 1e6);
    const facts = { name: step.name, family: step.kernel.family, shapes: shapesOf(step), calls, ms };
    return { ...facts, ...cost, shareOfLimit: ms === 0 ? 0 : (limit * calls) / ms };
  });
  return made.sort((a, b) => b.ms - a.ms);
}

export const shapesOf = ({ inputs, outputs }: Step): string => {
  const list = (operands: Step['inputs']): string => operands.map(({ spec }) => `${spec.shape.join('x') || '1'}`).join(' ');
  return `${list(inputs)} -> ${list(outputs)}`;
};

/** The Trace Event Format: complete events ('X', times in microseconds) and names ('M'). */
function traceOf(steps: readonly (Step & { readonly name: string })[], stepMs: readonly number[], device: string): string {
  let at = 0;
  const events = steps.map((step, i) => {
    const dur = 1000 * (stepMs[i] ?? 0);
    const { flops, bytes } = costOf(step);
    const args = { step: i + 1, shapes: shapesOf(step), flops, bytes };
    const event = { name: step.name, cat: step.kernel.family, ph: 'X', ts: at, dur, pid: 1, tid: 1, args };
    at += dur;
    return event;
  });
  const names = [
    { name: 'process_name', ph: 'M', pid: 1, args: { name: 'chainrule' } },
    { name: 'thread_name', ph: 'M', pid: 1, tid: 1, args: { name: device } },
  ];
  return JSON.stringify({ displayTimeUnit: 'ms', traceEvents: [...names, ...events] });
}

const measured = new WeakMap<Device, MachineLimits>();
/** Elements: more than caches hold. A device that copies below 1 GB/s does not wait for memory, and is asked for less. */
const COPIED = 2 ** 24;
const COPIED_SLOWLY = 2 ** 16;

/** Measured once per device: some 200 ms. */
function limitsOf(device: Device): MachineLimits {
  const known = measured.get(device);
  if (known !== undefined) return known;
  const slow = copyRate(device, COPIED_SLOWLY);
  const limits = { gflops: device.maxGflops?.() ?? 0, gbps: slow < 1 ? slow : copyRate(device, COPIED) };
  measured.set(device, limits);
  return limits;
}

/** GB/s, read and written. */
function copyRate(device: Device, elements: number): number {
  const spec = specOf('float32', [elements]);
  const [from, to] = [device.allocate(spec.bytes), device.allocate(spec.bytes)];
  const operand = (buffer: number) => ({ buffer, spec, offset: 0 });
  const steps = [{ kernel: { family: 'copy' as const }, inputs: [operand(0)], outputs: [operand(1)], scalarBase: 0 }];
  const copy = device.compile({ steps, buffers: 2, scalars: 0 });
  const times = Array.from({ length: 6 }, () => {
    const started = performance.now();
    copy.run([from, to], [0, 0], []);
    return performance.now() - started;
  });
  for (const s of [from, to]) device.release(s);
  return (2 * spec.bytes) / Math.min(...times.slice(1)) / 1e6;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? 0;
}
