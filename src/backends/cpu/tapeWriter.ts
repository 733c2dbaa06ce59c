import { dtypes } from '../../core/dtype.js';
import { internal } from '../../core/errors.js';
import type { ProgramOperand } from '../../program/program.js';

/** Numbers of the kernel families on a tape (`enum Family` in the engine). */
export const families = {
  map: 1,
  reduce: 2,
  gemm: 3,
  conv: 4,
  window: 5,
  gather: 6,
  scatter: 7,
  scan: 8,
  sort: 9,
  random: 10,
  copy: 11,
  probe: 12,
  attention: 13,
  recurrent: 14,
  loop: 15,
  layerNorm: 16,
  factor: 17,
} as const;

const real = new Float64Array(1);
const halves = new Int32Array(real.buffer);

/** Writes the words of a tape; the layout of every step is written down in the engine's tape.h. */
export class TapeWriter {
  readonly #words: number[] = [];
  #start = 0;

  begin(family: keyof typeof families, scalarBase: number): void {
    this.#start = this.#words.length;
    this.#words.push(families[family], 0, scalarBase);
  }

  /** Closes the step: its second word is its length. */
  end(): void {
    this.#words[this.#start + 1] = this.#words.length - this.#start;
  }

  ints(...values: readonly number[]): void {
    for (const v of values) this.#words.push(v);
  }

  list(values: readonly number[]): void {
    for (const v of values) this.#words.push(v);
  }

  real(value: number): void {
    real[0] = value;
    this.#words.push(halves[0] ?? 0, halves[1] ?? 0);
  }

  operand({ buffer, spec, offset }: ProgramOperand, extraOffset = 0): void {
    this.#words.push(buffer, dtypes[spec.dtype].code, offset + extraOffset);
  }

  view(operand: ProgramOperand, strides: readonly number[] | undefined, extraOffset = 0): void {
    this.operand(operand, extraOffset);
    this.list(strides ?? []);
  }

  /** The finished tape, with its end mark. */
  finish(): Int32Array {
    this.#words.push(0);
    const tape = Int32Array.from(this.#words);
    for (let i = 0; i < tape.length; i++) {
      if (tape[i] !== this.#words[i]) throw internal(`a size, stride or offset does not fit in 32 bits: ${this.#words[i]}`);
    }
    return tape;
  }
}
