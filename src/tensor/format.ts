import { isFloat } from '../core/dtype.js';
import { printBy } from '../core/inspect.js';
import { range } from '../core/shape.js';
import { getDefaultDtype } from './creation.js';
import { Tensor } from './tensor.js';

/** Printing as PyTorch prints: four digits, aligned, the middle of large tensors left out. */
export interface PrintOptions {
  /** Digits after the point. Default 4. */
  readonly precision: number;
  /** Tensors with more elements are summarised. Default 1000. */
  readonly threshold: number;
  /** Elements shown at each end of a summarised dim. Default 3. */
  readonly edgeItems: number;
  /** Columns of a line. Default 80. */
  readonly lineWidth: number;
}
let print: PrintOptions = { precision: 4, threshold: 1000, edgeItems: 3, lineWidth: 80 };

/** Changes how tensors are printed; what is not given stays. */
export function setPrintOptions(options: Partial<PrintOptions>): void {
  print = { ...print, ...options };
}

const PREFIX = 'tensor(';

/** The text of a tensor: `tensor([[1., 2.], [3., 4.]])`, with its type and place in a graph where they are not the usual. */
export function formatTensor(x: Tensor): string {
  const suffixes: string[] = [];
  if (x.size === 0 && x.ndim !== 1) suffixes.push(`shape=(${x.shape.join(', ')})`);
  const usual = x.dtype === getDefaultDtype() || x.dtype === 'int32' || x.dtype === 'bool';
  if (!usual || (x.size === 0 && x.dtype !== getDefaultDtype())) suffixes.push(`dtype=${x.dtype}`);
  if (x.node !== null) suffixes.push(`gradFn=<${x.node.name}>`);
  else if (x.requiresGrad) suffixes.push('requiresGrad=true');
  return withSuffixes(PREFIX + body(x), suffixes);
}

function body(x: Tensor): string {
  if (x.size === 0) return '[]';
  if (x.device.downloadNow === undefined) return `<values of shape (${x.shape.join(', ')}) on ${x.device.name}: await data()>`;
  const values = new Values(x, x.toArray());
  return nested(values, 0, 0, PREFIX.length, cellOf(x, values.shown()));
}

function withSuffixes(text: string, suffixes: readonly string[]): string {
  let out = text;
  let lineLength = text.length - text.lastIndexOf('\n') + 1;
  for (const suffix of suffixes) {
    const wraps = lineLength + suffix.length + 2 > print.lineWidth;
    out += wraps ? `,\n${' '.repeat(PREFIX.length)}${suffix}` : `, ${suffix}`;
    lineLength = wraps ? PREFIX.length + suffix.length : lineLength + suffix.length + 2;
  }
  return `${out})`;
}

/** The elements with the places that a summary shows. */
class Values {
  private readonly summarised: boolean;
  constructor(
    readonly tensor: Tensor,
    readonly data: ArrayLike<number>,
  ) {
    this.summarised = tensor.size > print.threshold;
  }

  /** Positions along a dim; null stands for the gap. */
  positions(dim: number): (number | null)[] {
    const size = this.tensor.shape[dim] ?? 1;
    const { edgeItems } = print;
    if (!this.summarised || size <= 2 * edgeItems) return range(size);
    const edge = range(edgeItems);
    return [...edge, null, ...edge.map((i) => size - edgeItems + i)];
  }

  shown(): number[] {
    const found: number[] = [];
    const visit = (dim: number, at: number): void => {
      if (dim === this.tensor.ndim) found.push(this.data[at] ?? Number.NaN);
      else for (const i of this.positions(dim)) if (i !== null) visit(dim + 1, at * (this.tensor.shape[dim] ?? 1) + i);
    };
    visit(0, 0);
    return found;
  }
}

interface Cell {
  readonly width: number;
  format(value: number): string;
}

function cellOf({ dtype }: Tensor, shown: readonly number[]): Cell {
  const text = dtype === 'bool' ? (v: number) => (v === 0 ? 'false' : 'true') : isFloat(dtype) ? floatText(shown) : String;
  // What is not finite is never longer than PyTorch's columns allow for; it does not widen them.
  const measured = isFloat(dtype) ? shown.filter((v) => Number.isFinite(v) && v !== 0) : shown;
  const width = measured.reduce((w, v) => Math.max(w, text(v).length), 1);
  return { width, format: (v) => text(v).padStart(width) };
}

/** One notation for all numbers of a tensor: whole, fixed or scientific. */
function floatText(shown: readonly number[]): (value: number) => string {
  const sizes = shown.filter((v) => Number.isFinite(v) && v !== 0).map(Math.abs);
  const [low, high] = [Math.min(...sizes), Math.max(...sizes)];
  const whole = sizes.every(Number.isInteger);
  const wide = sizes.length > 0 && (high / low > 1000 || high > 1e8 || (!whole && low < 1e-4));
  return (value) => {
    if (Number.isNaN(value)) return 'nan';
    if (!Number.isFinite(value)) return value < 0 ? '-inf' : 'inf';
    if (wide) return scientific(value);
    return whole ? `${signed(value, 0)}.` : signed(value, print.precision);
  };
}

const signed = (value: number, digits: number): string => (Object.is(value, -0) ? `-${(0).toFixed(digits)}` : value.toFixed(digits));

/** C's %e: at least two digits of exponent. */
function scientific(value: number): string {
  const [mantissa = '', exponent = '+0'] = value.toExponential(print.precision).split('e');
  const minus = Object.is(value, -0) ? '-' : '';
  return `${minus}${mantissa}e${exponent[0]}${exponent.slice(1).padStart(2, '0')}`;
}

function nested(values: Values, dim: number, at: number, indent: number, cell: Cell): string {
  const { tensor, data } = values;
  if (dim === tensor.ndim) return cell.format(data[at] ?? Number.NaN);
  const size = tensor.shape[dim] ?? 1;
  const parts = values.positions(dim).map((i) => {
    if (i === null) return dim === tensor.ndim - 1 ? ' ...' : '...';
    return nested(values, dim + 1, at * size + i, indent + 1, cell);
  });
  const margin = ' '.repeat(indent + 1);
  if (dim < tensor.ndim - 1) return `[${parts.join(`,${'\n'.repeat(tensor.ndim - dim - 1)}${margin}`)}]`;
  const perLine = Math.max(1, Math.floor((print.lineWidth - indent) / (cell.width + 2)));
  const lines: string[] = [];
  for (let i = 0; i < parts.length; i += perLine) lines.push(parts.slice(i, i + perLine).join(', '));
  return `[${lines.join(`,\n${margin}`)}]`;
}

/** @internal Makes console.log, template strings and Node's inspect print tensors. */
export function installFormat(): void {
  Object.defineProperty(Tensor.prototype, 'toString', {
    configurable: true,
    value(this: Tensor) {
      return formatTensor(this);
    },
  });
  printBy(Tensor.prototype, (x) => formatTensor(x));
}
