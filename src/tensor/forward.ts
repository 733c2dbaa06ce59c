import { isFloat } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { formatShape, sameShape } from '../core/shape.js';
import { setTangentTap, type TangentTap } from '../ops/apply.js';
import { enableGrad, gradMany } from './autograd.js';
import { zerosLike } from './creation.js';
import type { GradNode } from './graph.js';
import type { Tensor } from './tensor.js';

/**
 * Forward-mode derivative: the value of `f` and J·tangents, in one pass that carries (value, tangent) through every op
 * (PyTorch: torch.func.jvp). Inputs without a tangent (null) count as constants.
 *
 * @example const [y, dy] = jvp((x) => x.sin(), [tensor(0)], [tensor(1)]); // dy is cos 0 = 1
 */
export function jvp(
  f: (...inputs: Tensor[]) => Tensor,
  inputs: readonly Tensor[],
  tangents: readonly (Tensor | null)[],
): [value: Tensor, tangent: Tensor] {
  const carried = new Map<Tensor, Tensor>();
  inputs.forEach((x, i) => {
    const t = tangents[i] ?? null;
    if (t !== null && !sameShape(t.shape, x.shape)) {
      throw new LibError(
        'shape',
        `jvp: each tangent must have its input's shape, got ${formatShape(t.shape)} for ${formatShape(x.shape)}.`,
      );
    }
  });
  // Fresh views, so that one tensor passed twice may carry two tangents.
  const primals = inputs.map((x) => x.reshape(x.shape));
  primals.forEach((x, i) => {
    const t = tangents[i] ?? null;
    if (t !== null) carried.set(x, t);
  });
  const outer = setTangentTap(null);
  const tap: TangentTap = (node, ins, outs) => {
    outer?.(node, ins, outs);
    const before = setTangentTap(outer);
    try {
      push(node, ins, outs, carried);
    } finally {
      setTangentTap(before);
    }
  };
  setTangentTap(tap);
  try {
    const value = f(...primals);
    return [value, carried.get(value) ?? zerosLike(value)];
  } finally {
    setTangentTap(outer);
  }
}

/**
 * Pushes tangents through one step. A step's gradient rule is linear in the output gradients, g ↦ Jᵀg, and written in ops; so the
 * transpose of the *rule* is J, and each op has a tangent rule without anybody writing one.
 */
function push(node: GradNode, inputs: readonly Tensor[], outputs: readonly Tensor[], carried: Map<Tensor, Tensor>): void {
  const tangents = inputs.map((x) => carried.get(x) ?? null);
  if (tangents.every((t) => t === null)) return;
  enableGrad(() => {
    const probes = outputs.map((y) => (isFloat(y.dtype) ? zerosLike(y).requiresGrad_() : null));
    const floats = probes.filter((p) => p !== null);
    const context = { ...node.context(), needs: tangents.map((t) => t !== null) };
    const transposed = node.recording.rule(probes, context);
    const roots: Tensor[] = [];
    const seeds: Tensor[] = [];
    transposed.forEach((g, i) => {
      const t = tangents[i] ?? null;
      if (g === null || t === null || !g.requiresGrad) return;
      roots.push(g);
      seeds.push(t);
    });
    if (roots.length === 0) return;
    const pushed = gradMany('jvp', roots, seeds, floats, { createGraph: true, allowUnused: true });
    outputs.forEach((y, i) => {
      const probe = probes[i] ?? null;
      const t = probe && (pushed[floats.indexOf(probe)] ?? null);
      if (t !== null) carried.set(y, t);
    });
  });
}

/** Reverse-mode derivative: the value of `f` and a function from v to vᵀJ, one gradient per input (PyTorch: torch.func.vjp). */
export function vjp(f: (...inputs: Tensor[]) => Tensor, ...inputs: Tensor[]): [value: Tensor, pullback: (v: Tensor) => Tensor[]] {
  const leaves = inputs.map((x) => x.detach().requiresGrad_());
  const value = enableGrad(() => f(...leaves));
  const pullback = (v: Tensor): Tensor[] =>
    gradMany('vjp', [value], [v], leaves, { retainGraph: true, allowUnused: true }).map((g, i) => g ?? zerosLike(leaves[i] as Tensor));
  return [value, pullback];
}
