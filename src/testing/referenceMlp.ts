/**
 * A multi-layer perceptron with ReLU, softmax and cross-entropy whose backward pass is written by hand on plain arrays: it shares no code
 * with autograd, which is tested against it, and it can tell every step of what it does.
 */

/** Row by row. */
export type Matrix = number[][];

export interface MlpLayer {
  /** (outputs, inputs). */
  readonly weight: Matrix;
  readonly bias: number[];
}
export interface MlpTrace {
  /** What goes into each layer, a⁰ = x first: (batch, inputs). */
  readonly activations: readonly Matrix[];
  /** What comes out before the ReLU or the softmax: (batch, outputs). */
  readonly preactivations: readonly Matrix[];
  /** ŷ: (batch, classes). */
  readonly probabilities: Matrix;
  /** The mean of -log ŷ of the true classes. */
  readonly loss: number;
  /** Error signals δ = ∂L/∂z of each layer. */
  readonly deltas: readonly Matrix[];
  /** ∂L/∂W and ∂L/∂b of each layer. */
  readonly gradients: readonly MlpLayer[];
}

const timesTransposed = (a: Matrix, b: Matrix): Matrix =>
  a.map((row) => b.map((w) => row.reduce((s, v, i) => s + v * (w[i] as number), 0)));

function softmax(z: readonly number[]): number[] {
  const top = Math.max(...z);
  const e = z.map((v) => Math.exp(v - top));
  const sum = e.reduce((a, b) => a + b, 0);
  return e.map((v) => v / sum);
}

/**
 * Forward and backward of a batch: z = a Wᵀ + b, a = max(z, 0); δ = (ŷ - y) / n at the output, δ = (δ' W') ⊙ [z > 0] before it;
 * dW = δᵀ a, db = Σ δ. The derivative of ReLU at 0 is 0.
 */
export function mlpTrace(layers: readonly MlpLayer[], x: Matrix, classes: readonly number[]): MlpTrace {
  const activations: Matrix[] = [x];
  const preactivations: Matrix[] = [];
  for (const [l, { weight, bias }] of layers.entries()) {
    const z = timesTransposed(activations[l] as Matrix, weight).map((row) => row.map((v, j) => v + (bias[j] as number)));
    preactivations.push(z);
    if (l + 1 < layers.length) activations.push(z.map((row) => row.map((v) => Math.max(v, 0))));
  }
  const probabilities = (preactivations.at(-1) as Matrix).map(softmax);
  const n = x.length;
  const loss = probabilities.reduce((s, p, i) => s - Math.log(p[classes[i] as number] as number) / n, 0);
  const deltas: Matrix[] = [probabilities.map((p, i) => p.map((v, c) => (v - Number(c === classes[i])) / n))];
  for (let l = layers.length - 2; l >= 0; l--) {
    const { weight } = layers[l + 1] as MlpLayer;
    const z = preactivations[l] as Matrix;
    const above = deltas[0] as Matrix;
    const back = (row: readonly number[], j: number): number => row.reduce((s, d, k) => s + d * (weight[k]?.[j] as number), 0);
    deltas.unshift(z.map((row, i) => row.map((v, j) => (v > 0 ? back(above[i] as number[], j) : 0))));
  }
  const gradients = deltas.map((delta, l) => {
    const a = activations[l] as Matrix;
    const outputs = delta[0]?.length ?? 0;
    const column = (k: number): number[] => delta.map((row) => row[k] as number);
    return {
      weight: Array.from({ length: outputs }, (_, k) =>
        (a[0] ?? []).map((_v, j) => column(k).reduce((s, d, i) => s + d * (a[i]?.[j] as number), 0)),
      ),
      bias: Array.from({ length: outputs }, (_, k) => column(k).reduce((s, d) => s + d, 0)),
    };
  });
  return { activations, preactivations, probabilities, loss, deltas, gradients };
}

/** The layers after a step of gradient descent. */
export function mlpStep(layers: readonly MlpLayer[], gradients: readonly MlpLayer[], lr: number): MlpLayer[] {
  return layers.map(({ weight, bias }, l) => {
    const g = gradients[l] as MlpLayer;
    return {
      weight: weight.map((row, k) => row.map((w, j) => w - lr * (g.weight[k]?.[j] as number))),
      bias: bias.map((b, k) => b - lr * (g.bias[k] as number)),
    };
  });
}

/** The trace in words and numbers, layer by layer. */
export function formatMlpTrace({ activations, preactivations, probabilities, loss, deltas, gradients }: MlpTrace): string {
  const show = (m: readonly (readonly number[])[]): string => m.map((row) => `[${row.map((v) => v.toFixed(4)).join(', ')}]`).join(' ');
  const forward = preactivations.map((z, l) => `layer ${l + 1}: a = ${show(activations[l] as Matrix)}\n         z = ${show(z)}`);
  const backward = deltas.map(
    (d, l) => `layer ${l + 1}: δ = ${show(d)}\n         dW = ${show(gradients[l]?.weight ?? [])}, db = ${show([gradients[l]?.bias ?? []])}`,
  );
  return [...forward, `softmax: ${show(probabilities)}`, `loss: ${loss.toFixed(6)}`, ...backward.reverse()].join('\n');
}
