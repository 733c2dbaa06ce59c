/** A network of plain arrays with its gradients by hand: the oracle that automatic differentiation is compared with. */

type Matrix = readonly (readonly number[])[];
export interface PlainLayer {
  /** (out, in). */
  readonly weight: Matrix;
  readonly bias: readonly number[];
}
export interface PlainStep {
  /** Mean cross entropy of softmax. */
  readonly loss: number;
  /** Of each layer, in order. */
  readonly gradients: readonly PlainLayer[];
}

const at = (row: readonly number[] | undefined, i: number): number => row?.[i] as number;
const affine = ({ weight, bias }: PlainLayer, x: readonly number[]): number[] =>
  weight.map((row, o) => row.reduce((sum, w, i) => sum + w * at(x, i), at(bias, o)));

/** Affine layers with ReLU between them, then softmax: `step` gives the loss of a batch and all gradients. It uses no tensors. */
export class PlainMlp {
  constructor(readonly layers: readonly PlainLayer[]) {}

  /** The scores of one example, and what each layer read. */
  forward(x: readonly number[]): { readonly scores: readonly number[]; readonly inputs: readonly (readonly number[])[] } {
    const inputs: (readonly number[])[] = [];
    let h = x;
    for (const [l, layer] of this.layers.entries()) {
      inputs.push(h);
      const z = affine(layer, h);
      h = l === this.layers.length - 1 ? z : z.map((v) => Math.max(0, v));
    }
    return { scores: h, inputs };
  }

  /** One pass each way over examples x (batch, in) of classes y. */
  step(x: Matrix, y: readonly number[]): PlainStep {
    const weights = this.layers.map(({ weight }) => weight.map((row) => row.map(() => 0)));
    const biases = this.layers.map(({ bias }) => bias.map(() => 0));
    let loss = 0;
    for (const [n, example] of x.entries()) {
      const { scores, inputs } = this.forward(example);
      const top = Math.max(...scores);
      const total = scores.reduce((sum, s) => sum + Math.exp(s - top), 0);
      const target = at(y, n);
      loss += (Math.log(total) + top - at(scores, target)) / x.length;
      let delta = scores.map((s, c) => (Math.exp(s - top) / total - Number(c === target)) / x.length);
      for (let l = this.layers.length - 1; l >= 0; l--) {
        const [input, sums] = [inputs[l] as readonly number[], weights[l] as number[][]];
        for (const [o, d] of delta.entries()) {
          for (const [i, v] of input.entries()) (sums[o] as number[])[i] = at(sums[o], i) + d * v;
          (biases[l] as number[])[o] = at(biases[l], o) + d;
        }
        const { weight } = this.layers[l] as PlainLayer;
        // The input of every layer but the first came out of a ReLU: it is positive exactly where the slope is 1.
        delta = input.map((v, i) => (v > 0 ? delta.reduce((sum, d, o) => sum + d * at(weight[o], i), 0) : 0));
      }
    }
    return { loss, gradients: weights.map((weight, l) => ({ weight, bias: biases[l] as number[] })) };
  }
}
