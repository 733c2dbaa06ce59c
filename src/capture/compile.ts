import { LibError } from '../core/errors.js';
import { isGradEnabled, setAllocationListener, setExecutor, setTangentTap } from '../ops/apply.js';
import { capturing, SymbolicStorage, setCapture } from '../tensor/capturing.js';
import { setDrawListener } from '../tensor/generator.js';
import { isTensor, Tensor } from '../tensor/tensor.js';
import { collectTensors, replaceLeaves } from '../tensor/tree.js';
import { driftBetween } from './drift.js';
import { Replay, type Trace } from './replay.js';
import { SharedMemory } from './shared.js';
import { partOfGraph, Tracer } from './tracer.js';
import { verified } from './verify.js';

/** A compiled function, and what is known of it. */
export interface Compiled<Args extends readonly unknown[], R> {
  (...args: Args): R;
  /** Facts about the programs captured so far, the last one used first. */
  readonly programs: readonly ProgramInfo[];
  /** How often the function was captured for arguments, modes or options that no program was made for. */
  readonly captures: number;
  /** @internal The program that a call with these arguments would run. */
  replayOf(...args: Args): Replay | null;
}

export interface ProgramInfo {
  /** How many kernels a run of the program is. */
  readonly steps: number;
  /** Bytes of all temporaries together, by lifetime. */
  readonly arenaBytes: number;
}

export interface CompileOptions {
  /** Let values between pointwise steps, and into reductions, skip memory. Default true. */
  readonly fuse?: boolean;
  /**
   * Check the first n calls: capture the function again and compare with what is replayed, and run the steps both one by one and
   * optimized. Sums must agree within what another order of addition may change, all else in every bit. Default 0.
   */
  readonly verify?: number;
  /**
   * Bytes that temporaries should fit in: cheap values are computed a second time where they would have to be kept for long. What
   * was reached is `programs[0].arenaBytes`. Default: as many as the fastest order needs.
   */
  readonly memoryBudget?: number;
}

/** @internal What fit() needs beside. */
export interface CompileControl extends CompileOptions {
  /** Told what the function does differently from its first capture, instead of an error; the call itself is right. */
  readonly onDrift?: (difference: string) => void;
  /** Compare captures alone, at calls 2, 4, 16, 64 and so on: counters and branches that come late are found too. */
  readonly recheck?: boolean;
}

/** Programs beyond these are captured again when they are needed: the one used longest ago makes room. */
const MAX_PROGRAMS = 64;
/** More captures than these are worth a word. */
const MANY_CAPTURES = 8;

/**
 * Captures `fn` as one program at its first call, and from then on runs that: forward, backward and optimizer step in one call into
 * the engine, with temporaries in one static arena. Other shapes, types, `training` flags, grad modes or optimizer options are
 * captured as programs of their own; learning rates, step counts and random numbers are read at each call.
 *
 * Other JavaScript inside `fn` runs only while capturing: numbers are frozen, tensors that change identity must be arguments, and
 * schedules belong outside. Results are new tensors outside the graph; `.grad` of a parameter is written over by the next call.
 *
 * @example
 * const step = compile((x: Tensor, y: Tensor) => {
 *   optimizer.zeroGrad();
 *   const loss = mseLoss(model.forward(x), y);
 *   loss.backward();
 *   optimizer.step();
 *   return loss;
 * });
 */
export function compile<Args extends readonly unknown[], R>(fn: (...args: Args) => R, options: CompileOptions = {}): Compiled<Args, R> {
  const { verify = 0, memoryBudget = Number.POSITIVE_INFINITY } = options;
  if (!(memoryBudget > 0)) throw new LibError('option', `compile: memoryBudget must be a positive number of bytes, got ${memoryBudget}.`);
  if (!Number.isInteger(verify) || verify < 0) throw new LibError('option', `compile: verify must be a count of calls, got ${verify}.`);
  return compileWith(fn, options);
}

/** @internal `compile` with more control. */
export function compileWith<Args extends readonly unknown[], R>(fn: (...args: Args) => R, control: CompileControl): Compiled<Args, R> {
  const programs: Replay[] = [];
  const memory = new SharedMemory();
  let captures = 0;
  let calls = 0;
  const { verify = 0, recheck = false, fuse = true, memoryBudget = Number.POSITIVE_INFINITY } = control;
  const find = (args: Args, tensors: readonly Tensor[]): Replay | null => {
    for (let i = 0; i < programs.length; i++) {
      const program = programs[i] as Replay;
      if (!program.matches(args, tensors)) continue;
      if (i > 0) programs.unshift(...programs.splice(i, 1));
      return program;
    }
    return null;
  };
  const call = (...args: Args): R => {
    if (capturing() !== null || carriesTangents()) return fn(...args);
    const tensors: Tensor[] = [];
    collectTensors(args, tensors);
    if (isGradEnabled()) for (const { requiresGrad, node } of tensors) if (requiresGrad && node !== null) throw partOfGraph(node.name);
    const known = find(args, tensors);
    const checks = ++calls <= verify || (recheck && isCheckpoint(calls));
    if (known !== null && !checks) return known.run(tensors) as R;
    const traced = trace(fn, args, tensors);
    const captured = new Replay(traced, memory, { fuse, memoryBudget });
    if (known !== null) programs.shift();
    if (programs.unshift(captured) > MAX_PROGRAMS) programs.pop();
    if (known === null && ++captures === MANY_CAPTURES + 1 && control.onDrift === undefined) noteCaptures(fn.name);
    const optimized = (): unknown => captured.run(tensors, 'first');
    const both = (): unknown => verified(new Replay(traced, memory, { fuse: false, like: captured }), captured, tensors);
    const result = restoringGrads(traced.tracer, calls <= verify ? both : optimized) as R;
    if (recheck || calls < verify) captured.trace = traced;
    if (known?.trace) reportDrift(driftBetween(known.trace, traced), control);
    return result;
  };
  return Object.defineProperties(call, {
    programs: { get: () => programs.map(({ steps, arenaBytes }): ProgramInfo => ({ steps: steps.length, arenaBytes })) },
    captures: { get: () => captures },
    replayOf: {
      value: (...args: Args) => {
        const tensors: Tensor[] = [];
        collectTensors(args, tensors);
        return find(args, tensors);
      },
    },
  }) as Compiled<Args, R>;
}

/** 2, 4, 16, 64, ... */
const isCheckpoint = (call: number): boolean => call === 2 || (call > 2 && Number.isInteger(Math.log2(call) / 2));

function reportDrift(difference: string | null, { onDrift }: CompileControl): void {
  if (difference === null) return;
  if (onDrift !== undefined) return onDrift(difference);
  throw new LibError(
    'capture',
    `compile: the function must do the same at each call, but ${difference}.`,
    'pass what changes as an argument: tensors at no cost, plain values with a program for each.',
  );
}

function noteCaptures(name: string): void {
  console.warn(
    `compile: ${name || 'the function'} was captured ${MANY_CAPTURES + 1} times, for shapes, options or plain arguments keep changing.\n` +
      '  Hint: pass numbers that change as tensors, and batches of one size.',
  );
}

/** Forward mode follows the ops of a function one by one. */
function carriesTangents(): boolean {
  const tap = setTangentTap(null);
  setTangentTap(tap);
  return tap !== null;
}

function trace<Args extends readonly unknown[]>(fn: (...args: Args) => unknown, args: Args, tensors: readonly Tensor[]): Trace {
  const inputs = tensors.map(standIn);
  let next = 0;
  const given = replaceLeaves(args, isTensor, () => inputs[next++]) as Args;
  const tracer = new Tracer(inputs);
  const result = restoringGrads(tracer, () => record(tracer, () => fn(...given)));
  return { tracer, args: given, inputs, result };
}

/** After an error no tensor may keep a gradient that has no value. */
function restoringGrads<R>({ grads }: Tracer, body: () => R): R {
  try {
    return body();
  } catch (error) {
    for (const [t, { entry }] of grads) t.grad = entry;
    throw error;
  }
}

/** An argument without its bytes: what is done to it is done to any argument of its spec. */
function standIn({ spec, device, requiresGrad, grad }: Tensor): Tensor {
  const x = new Tensor(spec, new SymbolicStorage(spec.bytes), 0, device);
  x.requiresGrad = requiresGrad && isGradEnabled();
  x.grad = grad;
  return x;
}

function record<R>(tracer: Tracer, body: () => R): R {
  const executor = setExecutor(tracer);
  const capture = setCapture(tracer);
  const draws = setDrawListener(tracer.drawListener);
  const allocations = setAllocationListener(null);
  try {
    const result = body();
    if (!(result instanceof Promise)) return result;
    result.catch(() => undefined);
    throw new LibError(
      'capture',
      'compile: the function must be synchronous, got a promise.',
      'return the tensors and await their values outside.',
    );
  } finally {
    setExecutor(executor);
    setCapture(capture);
    setDrawListener(draws);
    setAllocationListener(allocations);
  }
}
