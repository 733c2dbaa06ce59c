import { type DType, dtypes, promote } from '../core/dtype.js';

/** The smallest type that two types both go into (torch.promote_types). */
export const promoteTypes = (a: DType, b: DType): DType => promote(a, b);
const KINDS = ['bool', 'int', 'float'] as const;
/** Whether values may be cast without changing their kind: floats to no integers, numbers to no bool (torch.can_cast). */
export const canCast = (from: DType, to: DType): boolean => KINDS.indexOf(dtypes[from].kind) <= KINDS.indexOf(dtypes[to].kind);
