import { compileWith } from '../capture/compile.js';
import { LibError } from '../core/errors.js';
import { getRandomState, setRandomState } from '../tensor/random.js';
import { isTensor } from '../tensor/tensor.js';

/** Whether the loop replays compiled steps. `auto`: where it can, and says so where it cannot. */
export type CompileMode = 'auto' | boolean;

/** More captures than these, with few replays between them, cost more than they save. */
const MANY_CAPTURES = 24;
const FEW_REPLAYS = 3;

/** A function of the training loop, compiled as long as that is right and pays. */
export class CompiledPart<Args extends readonly unknown[], R> {
  private compiled: ReturnType<typeof compileWith<Args, R>> | null = null;
  private calls = 0;

  constructor(
    private readonly name: string,
    private readonly fn: (...args: Args) => R,
    private readonly mode: CompileMode,
    private readonly note: (text: string) => void,
  ) {
    if (mode === false) return;
    const control = { recheck: true };
    const onDrift = (difference: string): void => this.goEager(`it does not do the same at each call: ${difference}`);
    this.compiled = compileWith(fn, mode === true ? control : { ...control, onDrift });
  }

  run(...args: Args): R {
    const { compiled } = this;
    if (compiled === null) return this.fn(...args);
    const strange = strangeIn(args);
    if (strange !== null) return this.eagerly(args, `batches hold a ${strange}, and compiled steps take tensors, lists and plain objects`);
    const random = compiled.programs.length === 0 ? getRandomState() : null;
    try {
      const result = compiled(...args);
      if (++this.calls < FEW_REPLAYS * compiled.captures && compiled.captures > MANY_CAPTURES) {
        this.goEager(`shapes or plain values of the batches keep changing: ${compiled.captures} captures in ${this.calls} calls`);
      }
      return result;
    } catch (error) {
      if (this.mode === true || !(error instanceof LibError) || error.code !== 'capture') throw error;
      if (random !== null) setRandomState(random);
      return this.eagerly(args, error.message.split('\n')[0] as string);
    }
  }

  private eagerly(args: Args, why: string): R {
    if (this.mode === true)
      throw new LibError('capture', `fit: the ${this.name} cannot be compiled: ${why}`, 'compile: false runs it eagerly.');
    this.goEager(why);
    return this.fn(...args);
  }

  private goEager(why: string): void {
    if (this.compiled === null) return;
    this.compiled = null;
    this.note(`the ${this.name} runs eagerly, for ${why}`);
  }
}

/** The class of an object that a compiled function would take for a constant, or null. */
function strangeIn(value: unknown): string | null {
  if (typeof value !== 'object' || value === null || isTensor(value)) return null;
  const prototype = Object.getPrototypeOf(value) as object | null;
  if (!Array.isArray(value) && prototype !== Object.prototype && prototype !== null) return prototype.constructor.name;
  for (const part of Object.values(value)) {
    const found = strangeIn(part);
    if (found !== null) return found;
  }
  return null;
}
