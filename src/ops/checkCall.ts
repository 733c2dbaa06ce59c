import { LibError } from '../core/errors.js';
import { isTensor } from '../tensor/tensor.js';
import { type Complaint, facts, type Kind, KindReader } from './kinds.js';
import { signatures } from './signatures.js';

/**
 * Calls from plain JavaScript are held to the same types as TypeScript's, but not in bundles for production (package.json, `imports`).
 * A signature says what a function takes: `x:T dim?:i options?:{keepdim:b}`, `...x` for the rest, `;` between overloads; kinds.ts has
 * the words.
 */
export type CallCheck = (args: readonly unknown[]) => void;

interface Param {
  readonly name: string;
  readonly optional: boolean;
  readonly kind: Kind;
}
interface Form {
  readonly params: readonly Param[];
  readonly rest: Param | null;
}

function formOf(signature: string): Form {
  const reader = new KindReader(signature);
  const params: Param[] = [];
  while (!reader.done) {
    reader.skip(' ');
    const isRest = reader.skip('...');
    const name = reader.until('?:');
    const optional = reader.skip('?');
    reader.skip(':');
    const param = { name, optional, kind: reader.kind() };
    if (isRest) return { params, rest: param };
    params.push(param);
  }
  return { params, rest: null };
}

/** What is wrong with a call, if anything. */
function problemOf(op: string, { params, rest }: Form, args: readonly unknown[]): Complaint | null {
  for (let i = 0; i < params.length; i++) {
    const { name, optional, kind } = params[i] as Param;
    const value = args[i];
    const problem = value === undefined && optional ? null : kind.problem(op, name, value);
    if (problem !== null) return problem;
  }
  for (let i = params.length; i < args.length && rest !== null; i++) {
    const problem = rest.kind.problem(op, rest.name, args[i]);
    if (problem !== null) return problem;
  }
  return rest === null && args.length > params.length ? surplus(op, args[params.length]) : null;
}

/** Functions may be handed to map(), which gives numbers and lists beside the element; options that nobody reads are a mistake. */
function surplus(op: string, extra: unknown): Complaint | null {
  if (typeof extra !== 'object' || extra === null || isTensor(extra) || Array.isArray(extra)) return null;
  return Object.keys(extra).length > 0 ? () => new LibError('option', `${op}: there are no options, got ${facts(extra)}.`) : null;
}

/** How many tensors alone make a call: the everyday one, which needs no reading of kinds. */
interface Counts {
  readonly least: number;
  readonly most: number;
}

function tensorsOf(params: readonly Param[]): Counts {
  const other = params.findIndex(({ kind }) => !kind.says.split(/, | or /).includes('a tensor'));
  const optional = params.findIndex((p) => p.optional);
  return { least: optional < 0 ? params.length : optional, most: other < 0 ? params.length : other };
}

function areTensors(args: readonly unknown[], { least, most }: Counts): boolean {
  if (args.length < least || args.length > most) return false;
  for (let i = 0; i < args.length; i++) if (!isTensor(args[i])) return false;
  return true;
}

function compile(op: string, signature: string): CallCheck {
  const forms = signature.split(';').map(formOf);
  const plain = forms.filter((form) => form.rest === null).map(({ params }) => tensorsOf(params));
  const most = Math.max(...forms.map((form) => (form.rest ? Number.POSITIVE_INFINITY : form.params.length)));
  return (args) => {
    for (let i = 0; i < plain.length; i++) if (areTensors(args, plain[i] as Counts)) return;
    const complaints: Complaint[] = [];
    for (const form of forms) {
      if (forms.length > 1 && args.length > form.params.length && form.rest === null) continue;
      const found = problemOf(op, form, args);
      if (found === null) return;
      complaints.push(found);
    }
    const errors = complaints.map((complain) => complain());
    // A misspelt option says more than that another form was not meant.
    const told = errors.find((e) => e.code === 'option') ?? errors.at(-1);
    throw told ?? new LibError('value', `${op}: there are at most ${most} arguments, got ${args.length}.`);
  };
}

/** The check of calls to `op` by its signature; it is read at the first call. */
export function callCheck(op: string, signature: string): CallCheck {
  let run: CallCheck | null = null;
  return (args) => {
    run ??= compile(op, signature);
    run(args);
  };
}

/** The check of calls to the row or method `name`. */
export function callCheckOf(name: string): CallCheck | null {
  const signature = signatures[name];
  return signature === undefined ? null : callCheck(name, signature);
}
