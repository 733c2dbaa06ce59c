import { computeType } from '../core/dtype.js';
import type { Spec } from '../core/spec.js';
import { constant, type Expr, scalar } from '../expr/expr.js';
import { apply, type Definition } from '../ops/apply.js';
import type { Kernel } from '../program/kernel.js';
import type { Device } from './device.js';
import type { Tensor } from './tensor.js';

interface MadeParams {
  readonly device: Device;
  readonly spec: Spec;
  readonly kernel: Kernel;
}

/** Runs a kernel that reads no tensors: fills and random numbers. They are steps of a program like any other. */
export function make(
  name: string,
  spec: Spec,
  device: Device,
  kernel: Kernel,
  scalars: readonly number[],
  key: string,
  into?: Tensor,
): Tensor {
  let definition = makers.get(name);
  if (definition === undefined) {
    definition = makerOf(name) as unknown as Definition;
    makers.set(name, definition);
  }
  const params: MadeParams = { device, spec, kernel };
  const call = { inputs: [], params, scalars, key: `${spec.id};${key}` };
  return apply(definition, call, into === undefined ? undefined : [into])[0] as Tensor;
}
const makers = new Map<string, Definition>();
const makerOf = (name: string) => ({
  name,
  infer: (_: readonly Spec[], { spec }: MadeParams): Spec => spec,
  kernel: ({ kernel }: MadeParams): Kernel => kernel,
  plans: new Map(),
  foreign: false,
});

/** 0 and 1 are constants of the program; any other value is read at each run, so that no program is made per value. */
const fillExpr = (value: number): Expr => (value === 0 || value === 1 ? constant(value) : scalar(0));

/** Fills a new tensor, or an old one, with one number. */
export function fill(name: string, spec: Spec, value: number, device: Device, into?: Tensor): Tensor {
  const expr = fillExpr(value);
  const compute = computeType(spec.dtype);
  const kernel: Kernel = expr === scalar(0) ? { family: 'map', exprs: [expr], compute } : { family: 'copy', fill: value };
  return make(name, spec, device, kernel, expr === scalar(0) ? [value] : [], `${expr.id}`, into);
}
