import type { ComputeType } from '../core/dtype.js';
import { type Expr, topological } from './expr.js';
import { instructions, opcodes } from './instructions.js';

/**
 * Register code for engines. An operand is `index * 4 + kind`, kind 0 a register, 1 an input, 2 a scalar, 3 a constant.
 * `code` holds five words a row: opcode, destination register, and three operands (0 where unused).
 */
export interface Bytecode {
  readonly code: readonly number[];
  readonly constants: readonly number[];
  readonly registers: number;
  readonly results: readonly number[];
  /** Two 32-bit words that name the program: an engine may hold it compiled ahead of time. */
  readonly hash: readonly [number, number];
}

const cache = new Map<string, Bytecode>();

/** Encodes a list of expressions; registers are reused as soon as their last reader has run. */
export function toBytecode(roots: readonly Expr[], compute: ComputeType): Bytecode {
  const key = `${compute}:${roots.map((e) => e.id).join()}`;
  let known = cache.get(key);
  if (known === undefined) {
    known = encode(roots, compute);
    cache.set(key, known);
  }
  return known;
}

function encode(roots: readonly Expr[], compute: ComputeType): Bytecode {
  const order = topological(roots);
  const lastUse = new Map<Expr, number>();
  order.forEach((e, i) => {
    if (e.node.kind === 'apply') for (const a of e.node.args) lastUse.set(a, i);
  });
  for (const root of roots) lastUse.set(root, order.length); // results stay until the end
  const code: number[] = [];
  const constants: number[] = [];
  const place = new Map<Expr, number>();
  const free: number[] = [];
  let registers = 0;
  order.forEach((e, i) => {
    const { node } = e;
    if (node.kind === 'input') place.set(e, node.index * 4 + 1);
    else if (node.kind === 'scalar') place.set(e, node.index * 4 + 2);
    else if (node.kind === 'const') place.set(e, (constants.push(node.value) - 1) * 4 + 3);
    else {
      const operands = node.args.map((a) => place.get(a) ?? 0);
      // The destination is chosen before the arguments are released: no instruction writes over what it reads.
      const dst = free.pop() ?? registers++;
      place.set(e, dst * 4);
      code.push(opcodes.indexOf(node.op), dst, operands[0] ?? 0, operands[1] ?? 0, operands[2] ?? 0);
      for (const a of new Set(node.args)) if (a.node.kind === 'apply' && lastUse.get(a) === i) free.push((place.get(a) ?? 0) / 4);
    }
  });
  const results = roots.map((e) => place.get(e) ?? 0);
  return { code, constants, registers, results, hash: hashOf(compute, code, constants, results) };
}

/** Two independent FNV-1a hashes over everything that decides what the program computes. */
function hashOf(compute: ComputeType, code: readonly number[], constants: readonly number[], results: readonly number[]): [number, number] {
  const words = [compute.length, compute.charCodeAt(0), ...code, -1, ...bitsOf(constants), -2, ...results];
  const fnv = (seed: number, prime: number): number => {
    let h = seed;
    for (const w of words) for (let s = 0; s < 32; s += 8) h = Math.imul(h ^ ((w >>> s) & 0xff), prime);
    return h | 0;
  };
  return [fnv(0x811c9dc5 | 0, 0x01000193), fnv(0x2f0b4f47, 0x85ebca6b | 0)];
}

function bitsOf(values: readonly number[]): number[] {
  return [...new Int32Array(Float64Array.from(values).buffer)];
}

/** C++ of one program, in terms of the engine's `op_<name>` vector functions; inputs `in0..`, scalars `s0..`, results `out0..`. */
export function toCpp(roots: readonly Expr[], literal: (value: number) => string): string {
  const names = new Map<Expr, string>();
  const lines: string[] = [];
  for (const e of topological(roots)) {
    const { node } = e;
    if (node.kind === 'input') names.set(e, `in${node.index}`);
    else if (node.kind === 'scalar') names.set(e, `s${node.index}`);
    else if (node.kind === 'const') names.set(e, literal(node.value));
    else {
      const name = `v${lines.length}`;
      names.set(e, name);
      lines.push(`const V ${name} = op_${node.op}(${node.args.map((a) => names.get(a)).join(', ')});`);
    }
  }
  for (const [i, e] of roots.entries()) lines.push(`out${i} = ${names.get(e)};`);
  return lines.join('\n');
}

/** How many instructions an expression list runs per element: what cost models and profilers count. */
export function instructionCount(roots: readonly Expr[]): number {
  return topological(roots).filter(({ node }) => node.kind === 'apply' && instructions[node.op].arity > 0).length;
}
