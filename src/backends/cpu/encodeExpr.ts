import type { ComputeType } from '../../core/dtype.js';
import { internal } from '../../core/errors.js';
import { toBytecode } from '../../expr/bytecode.js';
import type { Expr } from '../../expr/expr.js';
import type { TapeWriter } from './tapeWriter.js';

export const computeCodes: Readonly<Record<ComputeType, number>> = { float32: 0, float64: 1, int32: 2 };

/** More operands than this do not fit the engine's block VM (MAX_SLOTS in vm.h). */
const MAX_SLOTS = 256;

interface EncodedExpr {
  readonly head: readonly number[];
  readonly constants: readonly number[];
  readonly body: readonly number[];
}

const cache = new Map<string, EncodedExpr>();

/** Writes the program of some expressions over `inputs` inputs. */
export function writeExprs(tape: TapeWriter, roots: readonly Expr[], compute: ComputeType, inputs: number): void {
  const key = `${compute}:${inputs}:${roots.map((e) => e.id).join()}`;
  let known = cache.get(key);
  if (known === undefined) {
    known = encodeExprs(roots, compute, inputs);
    cache.set(key, known);
  }
  tape.list(known.head);
  for (const value of known.constants) tape.real(value);
  tape.list(known.body);
}

/** Gives every operand a slot number: registers first, then inputs, constants and those scalars that are read. */
function encodeExprs(roots: readonly Expr[], compute: ComputeType, inputs: number): EncodedExpr {
  const { code, constants, registers, results } = toBytecode(roots, compute);
  const scalars: number[] = [];
  const slot = (operand: number): number => {
    const [index, kind] = [operand >> 2, operand & 3];
    if (kind === 0) return index;
    if (kind === 1) {
      if (index >= inputs) throw internal(`an expression reads input ${index} of ${inputs}`);
      return registers + index;
    }
    if (kind === 3) return registers + inputs + index;
    const known = scalars.indexOf(index);
    return registers + inputs + constants.length + (known >= 0 ? known : scalars.push(index) - 1);
  };
  const body: number[] = [];
  for (let i = 0; i < code.length; i += 5) {
    const [op = 0, dst = 0, a = 0, b = 0, c = 0] = code.slice(i, i + 5);
    body.push(op, dst, slot(a), slot(b), slot(c));
  }
  body.push(...results.map(slot));
  const slots = registers + inputs + constants.length + scalars.length;
  if (slots > MAX_SLOTS) throw internal(`an expression needs ${slots} operands, the engine has room for ${MAX_SLOTS}`);
  const head = [registers, inputs, constants.length, scalars.length, code.length / 5];
  return { head, constants, body: [...scalars, ...body] };
}
