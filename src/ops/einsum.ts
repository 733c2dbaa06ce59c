import { LibError } from '../core/errors.js';
import { formatShape, type Shape, sizeOf } from '../core/shape.js';
import { input } from '../expr/expr.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineComposite, type Op } from './define.js';
import { fuseSum } from './fused.js';
import { gemm } from './gemm.js';

/** A tensor whose dims have names; no name twice. */
interface Term {
  readonly x: Tensor;
  readonly labels: readonly string[];
}

/**
 * Sums of products by Einstein's convention: letters name dims, those missing on the right of '->' are summed, '…' ('...') stands for
 * the rest, which broadcasts. Without '->', letters that occur once are kept, in alphabetical order.
 * @example einsum('bij,bjk->bik', a, b) // a batch of matrix products
 */
export const einsum: Op<[equation: string, ...tensors: Tensor[]]> = defineComposite({
  name: 'einsum',
  compose(equation: string, ...tensors: Tensor[]) {
    const { inputs, output } = parse(equation, tensors);
    const sizes = sizesOf(equation, inputs, tensors);
    let terms = tensors.map((x, i) => takeDiagonals({ x, labels: inputs[i] ?? [] }));
    while (terms.length > 1) {
      const [a, b, ...rest] = terms as [Term, Term, ...Term[]];
      const needed = new Set([...output, ...rest.flatMap((t) => t.labels)]);
      terms = [multiply(a, b, needed, sizes), ...rest];
    }
    return arrange(terms[0] as Term, output, sizes);
  },
  *samples(random) {
    yield ['ij,jk->ik', random([2, 3]), random([3, 4])];
    yield ['bij,bjk', random([2, 2, 3]), random([2, 3, 2])];
    yield ['ii->i', random([3, 3])];
    yield ['ii', random([3, 3])];
    yield ['ij->ji', random([2, 3])];
    yield ['i,j->ij', random([2]), random([3])];
    yield ['...ij,...jk->...ik', random([2, 1, 2, 3]), random([3, 3, 2])];
    yield ['bn,anm,bm->ba', random([2, 3]), random([5, 3, 4]), random([2, 4])];
    yield ['bhqd,bhkd->bhqk', random([2, 2, 3, 4]), random([2, 2, 5, 4])];
    yield ['...->', random([2, 3])];
  },
  *errors(random) {
    yield [['ij,jk->ik', random([2, 3]), random([4, 5])], 'must have one size'];
    yield [['ij,jk->ik', random([2, 3])], 'one list of letters for each tensor'];
    yield [['ijk->i', random([2, 3])], 'must name each dim'];
    yield [['ij->k', random([2, 3])], 'must occur on the left'];
    yield [['i1->i', random([2, 3])], 'only letters'];
  },
});

interface Parsed {
  readonly inputs: readonly (readonly string[])[];
  readonly output: readonly string[];
}

function parse(equation: string, tensors: readonly Tensor[]): Parsed {
  const [left = '', right, ...more] = equation.replaceAll(' ', '').replaceAll('…', '...').split('->');
  const texts = left.split(',');
  if (more.length > 0 || !/^[a-zA-Z.,]*$/.test(left + (right ?? ''))) {
    throw new LibError('value', `einsum: an equation holds only letters, commas, '...' and one '->', got '${equation}'.`);
  }
  if (texts.length !== tensors.length) {
    throw new LibError(
      'value',
      `einsum: there must be one list of letters for each tensor, got ${texts.length} for ${tensors.length} tensors.`,
    );
  }
  const spare = tensors.map((x, i) => x.ndim - (texts[i] ?? '').replace('...', '').length);
  const rest = Math.max(0, ...spare.filter((_, i) => texts[i]?.includes('...')));
  const inputs = texts.map((text, i) => {
    const count = spare[i] ?? 0;
    if (count < 0 || (count > 0 && !text.includes('...'))) {
      throw new LibError('shape', `einsum: letters must name each dim, got '${text}' for shape ${formatShape(tensors[i]?.shape ?? [])}.`);
    }
    return lettersOf(text, count, rest);
  });
  const all = inputs.flat();
  const once = [...new Set(all)].filter((l) => all.indexOf(l) === all.lastIndexOf(l) && /^[a-zA-Z]$/.test(l)).sort();
  const output =
    right === undefined ? [...lettersOf('...', rest, rest), ...once] : lettersOf(right, right.includes('...') ? rest : 0, rest);
  const unknown = output.find((l) => !all.includes(l));
  if (unknown !== undefined)
    throw new LibError('value', `einsum: letters of the result must occur on the left, got '${unknown}' in '${equation}'.`);
  if (new Set(output).size !== output.length) throw new LibError('value', `einsum: the result must name each dim once, got '${right}'.`);
  return { inputs, output };
}

/** The names of dims; those under '...' are numbered from the right, as they broadcast: '.2', '.1', '.0'. */
function lettersOf(text: string, count: number, rest: number): string[] {
  const [before = '', after = ''] = text.split('...');
  if (!text.includes('...')) return [...text];
  return [...before, ...Array.from({ length: Math.min(count, rest) }, (_, i) => `.${count - 1 - i}`), ...after];
}

function sizesOf(equation: string, inputs: Parsed['inputs'], tensors: readonly Tensor[]): Map<string, number> {
  const sizes = new Map<string, number>();
  inputs.forEach((labels, i) => {
    labels.forEach((label, d) => {
      const size = tensors[i]?.shape[d] ?? 1;
      const known = sizes.get(label) ?? 1;
      if (known !== 1 && size !== 1 && known !== size) {
        throw new LibError('shape', `einsum: a letter must have one size, got ${known} and ${size} for '${label}' in '${equation}'.`);
      }
      sizes.set(label, known === 1 ? size : known);
    });
  });
  return sizes;
}

/** A letter that occurs twice in one tensor names its diagonal. */
function takeDiagonals({ x, labels }: Term): Term {
  const twice = labels.findIndex((l, i) => labels.indexOf(l) !== i);
  if (twice < 0) return { x, labels };
  const label = labels[twice] as string;
  const first = labels.indexOf(label);
  const left = labels.filter((_, i) => i !== first && i !== twice);
  return takeDiagonals({ x: x.diagonal({ dim1: first, dim2: twice }), labels: [...left, label] });
}

/** Sums away the dims that are not needed any more. */
function fold({ x, labels }: Term, needed: ReadonlySet<string>): Term {
  const dims = labels.flatMap((l, i) => (needed.has(l) ? [] : [i]));
  if (dims.length === 0) return { x, labels };
  return { x: fuseSum('einsum', [x], input(0), dims), labels: labels.filter((l) => needed.has(l)) };
}

/** x with its dims in the order of `labels`, and size 1 for those that it lacks. */
function align({ x, labels }: Term, order: readonly string[]): Tensor {
  const permuted = x.permute(order.filter((l) => labels.includes(l)).map((l) => labels.indexOf(l)));
  return permuted.reshape(order.map((l) => (labels.includes(l) ? (x.shape[labels.indexOf(l)] ?? 1) : 1)));
}

/** Two terms as one batched matrix product: letters of both that stay are batches, those that go are summed. */
function multiply(left: Term, right: Term, needed: ReadonlySet<string>, sizes: ReadonlyMap<string, number>): Term {
  const a = fold(left, new Set([...needed, ...right.labels]));
  const b = fold(right, new Set([...needed, ...left.labels]));
  const shared = a.labels.filter((l) => b.labels.includes(l));
  const batch = shared.filter((l) => needed.has(l));
  const summed = shared.filter((l) => !needed.has(l));
  const [onlyA, onlyB] = [a.labels.filter((l) => !shared.includes(l)), b.labels.filter((l) => !shared.includes(l))];
  const shapeOf = (labels: readonly string[]): Shape => labels.map((l) => sizes.get(l) ?? 1);
  const labels = [...batch, ...onlyA, ...onlyB];
  if (summed.length === 0) {
    const [x, y] = [align(a, labels), align(b, labels)];
    return { x: x.mul(y), labels };
  }
  const full = (term: Term, order: readonly string[]): Tensor => align(term, order).expand(shapeOf(order));
  const [batches, m, k, n] = [shapeOf(batch), sizeOf(shapeOf(onlyA)), sizeOf(shapeOf(summed)), sizeOf(shapeOf(onlyB))];
  const x = full(a, [...batch, ...onlyA, ...summed]).reshape([...batches, m, k]);
  const y = full(b, [...batch, ...summed, ...onlyB]).reshape([...batches, k, n]);
  return { x: gemm('einsum', x, y).reshape(shapeOf(labels)), labels };
}

function arrange(term: Term, output: readonly string[], sizes: ReadonlyMap<string, number>): Tensor {
  const folded = fold(term, new Set(output));
  return align(folded, output).expand(output.map((l) => sizes.get(l) ?? 1));
}
