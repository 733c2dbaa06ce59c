// Uses that must type-check as they stand, with the types that a reader would expect.
import { defineOp, grad, jvp, type Op, type Tensor, type TensorData, tensor, zeros } from 'chainrule';
import { Linear, Module, Parameter, ReLU, Sequential } from 'chainrule/nn';
import { AdamW } from 'chainrule/optim';

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_: Equal<A, B>): void => {};

const x = zeros([4, 2]);
same<ReturnType<typeof x.relu>, Tensor>(true);
same<Awaited<ReturnType<typeof x.data>>, TensorData>(true);
same<Awaited<ReturnType<typeof x.item>>, number>(true);

const [batch, features] = x.dims(2);
same<typeof batch, number>(true);
same<typeof features, number>(true);

/** Two inputs, one output. */
class Gate extends Module<readonly [value: Tensor, gate: Tensor]> {
  readonly scale: Parameter = new Parameter(tensor([1]));
  readonly mix: Linear = new Linear(2, 2);
  override forward(value: Tensor, gate: Tensor): Tensor {
    return this.mix.forward(value).mul(gate.sigmoid()).mul(this.scale);
  }
}
const gated = new Gate().forward(x, x);
const model = new Sequential(new Linear(2, 4), new ReLU(), new Linear(4, 1));
const optimizer = new AdamW([{ params: model.parameters(), lr: 1e-3 }, { params: new Gate().parameters() }], { weightDecay: 0.1 });
const [gradient] = grad(gated.sum(), [x]);
const [value, tangent] = jvp((t) => t.exp(), [x], [x]);

/** A user's op. */
const double: Op<[x: Tensor]> = defineOp({
  name: 'double',
  args: (t: Tensor) => ({ inputs: [t], params: null }),
  infer: ([s]) => s ?? x.spec,
  kernel: () => ({ family: 'copy' }),
  *samples(random) {
    yield [random([3])];
  },
});

export { double, gradient, optimizer, tangent, value };
