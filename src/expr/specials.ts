import { digamma, erf, erfc, erfinv, lgamma, polygamma } from '../core/special.js';
import { type InstructionName, instructions } from './instructions.js';

/** What an instruction means, in float64. */
export type Meaning = (...args: readonly number[]) => number;

/** The meanings that take more than JavaScript's Math: apart from the table, so that pages do not load them. */
const specials: Partial<Record<InstructionName, (a: number, b: number) => number>> = { digamma, erf, erfc, erfinv, lgamma, polygamma };

export const meaningOf = (op: InstructionName): Meaning => (instructions[op].js ?? specials[op]) as Meaning;
