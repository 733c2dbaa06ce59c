// Mistakes that the compiler must find. Each line below is one; tsc fails where a mistake is accepted.
import { cat, type DType, type Tensor, tensor, zeros } from 'chainrule';
import { Linear, Module, ReLU, Sequential } from 'chainrule/nn';
import { AdamW, SGD } from 'chainrule/optim';

const x: Tensor = zeros([2, 3]);

// @ts-expect-error keepdim is spelled as in PyTorch
x.sum({ dim: 0, keepDim: true });
// @ts-expect-error dims are numbers
x.sum({ dim: '0' });
// @ts-expect-error there is no such type
zeros([2], { dtype: 'float' });
// @ts-expect-error a shape is a list
zeros(2, 3);
// @ts-expect-error tensors are no numbers
const twice: number = x.mul(2);
// @ts-expect-error the second operand of matmul is a tensor
x.matmul(2);
// @ts-expect-error cat takes a list
cat(x, x);
// @ts-expect-error reductions are a closed vocabulary
x.mseLoss(x, { reduction: 'average' });
// @ts-expect-error there is no such method
x.sofmax();
// @ts-expect-error a shape cannot be assigned to
x.shape = [6];
// @ts-expect-error nor changed
x.shape.push(1);
// @ts-expect-error item() is a promise everywhere
const loss: number = x.sum().item();
// @ts-expect-error data are numbers or booleans
tensor(['a']);
// @ts-expect-error types of elements are a closed vocabulary
const complex: DType = 'complex64';

// @ts-expect-error a layer needs both of its sizes
new Linear(3);
// @ts-expect-error options have names
new Linear(3, 4, false);
// @ts-expect-error options are read-only names that exist
new Linear(3, 4, { biass: false });
// @ts-expect-error forward takes a tensor
new ReLU().forward(3);
// @ts-expect-error the optimizer wants parameters, not the model
new AdamW(new Linear(2, 2), { lr: 0.1 });
// @ts-expect-error SGD has no betas
new SGD(new Linear(2, 2).parameters(), { lr: 0.1, betas: [0.9, 0.99] });

/** Two outputs: (sum, difference). */
class Pair extends Module<readonly [Tensor], readonly [Tensor, Tensor]> {
  override forward(t: Tensor): readonly [Tensor, Tensor] {
    return [t.add(1), t.sub(1)];
  }
}
// @ts-expect-error Sequential passes one tensor on: a module with two outputs does not fit
new Sequential(new Linear(2, 2), new Pair());

export { complex, loss, twice };
