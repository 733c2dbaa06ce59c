import { isFloat } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { formatShape, sameShape } from '../core/shape.js';
import { setTangentTap, type TangentTap } from '../ops/apply.js';
import { enableGrad, gradMany } from './autograd.js';
import { zerosLike } from './creation.js';
import type { GradNode } from './graph.js';
import type { Tensor } from './tensor.js';
import { collectTensors, withTensors } from './tree.js';

/**
 * Forward-mode derivative: the value of `f` and J·tangents, in one pass that carries (value, tangent) through every op
 * (PyTorch: torch.func.jvp). Inputs, their tangents and the result may be arrays, maps and objects of tensors. Inputs without a tangent
 * (null) count as constants.
 *
 * @example const [y, dy] = jvp((x) => x.sin(), [tensor(0)], [tensor(1)]); // dy is cos 0 = 1
 */
export function jvp<const A extends readonly unknown[], R = Tensor>(
  f: (...inputs: A) => R,
  inputs: A,
  tangents: { readonly [K in keyof A]: A[K] | null },
): [value: R, tangent: R] {
  const carried = new Map<Tensor, Tensor>();
  // Fresh views, so that one tensor passed twice may carry two tangents.
  const primals = withTensors(
    inputs,
    collectTensors(inputs).map((x) => x.reshape(x.shape)),
  );
  primals.forEach((primal, i) => carry(primal, tangents[i] ?? null, carried));
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
    const moved = collectTensors(value).map((y) => carried.get(y) ?? zerosLike(y));
    return [value, withTensors(value, moved)];
  } finally {
    setTangentTap(outer);
  }
}

function carry(primal: unknown, tangent: unknown, carried: Map<Tensor, Tensor>): void {
  if (tangent === null) return;
  const [xs, ts] = [collectTensors(primal), collectTensors(tangent)];
  if (xs.length !== ts.length)
    throw new LibError('value', `jvp: there must be a tangent for each tensor of an input, got ${ts.length} for ${xs.length}.`);
  xs.forEach((x, i) => {
    const t = ts[i] as Tensor;
    if (!sameShape(t.shape, x.shape)) {
      const facts = `${formatShape(t.shape)} for ${formatShape(x.shape)}`;
      throw new LibError('shape', `jvp: each tangent must have its input's shape, got ${facts}.`);
    }
    carried.set(x, t);
  });
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

/**
 * Reverse-mode derivative: the value of `f` and a function from v, shaped as the value, to vᵀJ: a list with the gradient by each input
 * (PyTorch: torch.func.vjp). Inputs and the value may be arrays, maps and objects of tensors.
 */
export function vjp<A extends readonly unknown[], R = Tensor>(f: (...inputs: A) => R, ...inputs: A): [value: R, pullback: (v: R) => A] {
  const leaves = collectTensors(inputs).map((x) => (isFloat(x.dtype) ? x.detach().requiresGrad_() : x));
  const value = enableGrad(() => f(...withTensors(inputs, leaves)));
  const outputs = collectTensors(value);
  const pullback = (v: R): A => {
    const vs = collectTensors(v);
    if (vs.length !== outputs.length)
      throw new LibError('value', `vjp: v must hold a tensor for each of the value's, got ${vs.length} for ${outputs.length}.`);
    const kept = outputs.map((y, i) => (y.requiresGrad ? i : -1)).filter((i) => i >= 0);
    const known = leaves.filter((x) => x.requiresGrad);
    const [ys, seeds] = [kept.map((i) => outputs[i] as Tensor), kept.map((i) => vs[i] as Tensor)];
    const gs = ys.length > 0 ? gradMany('vjp', ys, seeds, known, { retainGraph: true, allowUnused: true }) : [];
    return withTensors(
      inputs,
      leaves.map((x) => gs[known.indexOf(x)] ?? zerosLike(x)),
    );
  };
  return [value, pullback];
}
