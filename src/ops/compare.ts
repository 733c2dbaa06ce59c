import { type DType, isFloat } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { sameShape } from '../core/shape.js';
import { type Expr, input, scalar } from '../expr/expr.js';
import { valuesOf } from '../tensor/capturing.js';
import { getDefaultDtype } from '../tensor/creation.js';
import { isTensor, type Tensor } from '../tensor/tensor.js';
import { defineComposite, type Op } from './define.js';
import { noTensor, promoteTensors, type TensorOrNumber } from './elementwise.js';
import { checkMask, forms, mapTyped, promoteNumbers } from './mapTyped.js';

export interface CloseOptions {
  /** Allowed error relative to |b|. Default 1e-5. */
  readonly rtol?: number;
  /** Allowed absolute error. Default 1e-8. */
  readonly atol?: number;
  /** NaN counts as close to NaN. Default false. */
  readonly equalNan?: boolean;
}

function closeness(equalNan: boolean): Expr {
  const [a, b] = [input(0), input(1)];
  const error = a.sub(b).abs();
  const near = error.lessEqual(scalar(0).add(scalar(1).mul(b.abs()))).mul(error.less(Number.POSITIVE_INFINITY));
  const same = a.equal(b).max(near);
  return equalNan ? same.max(a.isnan().mul(b.isnan())) : same;
}

/** Whether |a - b| ≤ atol + rtol · |b|, elementwise, as bool. Infinities are close to themselves alone. */
export const isclose: Op<[a: Tensor, b: Tensor, options?: CloseOptions]> = defineComposite({
  name: 'isclose',
  compose(a: Tensor, b: Tensor, { rtol = 1e-5, atol = 1e-8, equalNan = false }: CloseOptions = {}) {
    if (!isTensor(a)) throw noTensor('isclose', a);
    if (!isTensor(b)) throw noTensor('isclose', b, 'second');
    if (!(rtol >= 0 && atol >= 0)) throw new LibError('value', `isclose: rtol and atol must be at least 0, got ${rtol} and ${atol}.`);
    const common = promoteTensors(a, b);
    const working = isFloat(common) ? common : 'float64';
    return mapTyped('isclose', [a, b], closeness(equalNan), { scalars: [atol, rtol], dtype: 'bool', working });
  },
  differentiable: false,
  *samples(random): Iterable<[a: Tensor, b: Tensor, options?: CloseOptions]> {
    yield [random([2, 3]), random([3])];
    yield [random([5]), random([5]), { atol: 0.5 }];
    yield [random([5]), random([5]), { rtol: 0.5 }];
  },
  *errors(random): Iterable<readonly [[a: Tensor, b: Tensor, options?: CloseOptions], string]> {
    yield [[random([2, 3]), random([4])], 'do not broadcast'];
    yield [[random([3]), random([3]), { rtol: -1 }], 'must be at least 0'];
    yield [[random([3]), random([3]), { atol: -1 }], 'must be at least 0'];
    yield [[2 as unknown as Tensor, random([3])], 'must be a tensor, got 2'];
  },
});

/** Whether all elements are close, read now. */
export function allclose(a: Tensor, b: Tensor, options: CloseOptions = {}): boolean {
  return valuesOf('allclose', isclose(a.detach(), b.detach(), options).all())[0] === 1;
}

/** Whether shapes and all values are equal, read now. NaN equals nothing. */
export function equal(a: Tensor, b: Tensor): boolean {
  return sameShape(a.shape, b.shape) && valuesOf('equal', a.detach().eq(b.detach()).all())[0] === 1;
}

const whereForm = forms('where', (condition, yes, no) => ({ expr: yes && no ? condition.select(yes, no) : condition }));
/** a where the bool condition is true, else b; all three broadcast, and a and b may be numbers. */
export const where: Op<[condition: Tensor, a: TensorOrNumber, b: TensorOrNumber]> = defineComposite({
  name: 'where',
  compose(condition: Tensor, a: TensorOrNumber, b: TensorOrNumber): Tensor {
    checkMask('where', condition);
    return whereForm(condition, a, b, chosenType(a, b));
  },
  torch: { call: 'torch.where(a[0], torch.as_tensor(a[1]), torch.as_tensor(a[2]))' },
  *samples(random): Iterable<[condition: Tensor, a: TensorOrNumber, b: TensorOrNumber]> {
    yield [random.bool([2, 3]), random([2, 3]), random([2, 3])];
    yield [random.bool([2, 3]), random([3]), random([2, 1])];
    yield [random.bool([2, 3]), random([2, 3]), 0.5];
    yield [random.bool([2, 3]), 1.5, random([2, 3])];
    yield [random.bool([4]), 1.5, -1.5];
  },
  *errors(random): Iterable<readonly [[condition: Tensor, a: TensorOrNumber, b: TensorOrNumber], string]> {
    yield [[random([3]), 0, 1], 'must be of type bool'];
    yield [[random.bool([3]), random([2]), 1], 'do not broadcast'];
  },
});

/** The condition's type does not count; of numbers alone the result has the default type. */
function chosenType(a: TensorOrNumber, b: TensorOrNumber): DType {
  if (typeof a !== 'number') return typeof b === 'number' ? promoteNumbers(a.dtype, [b]) : promoteTensors(a, b);
  return typeof b === 'number' ? getDefaultDtype() : promoteNumbers(b.dtype, [a]);
}
