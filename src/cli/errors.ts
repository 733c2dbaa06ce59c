import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A user's mistake in one or two lines; the stack only when asked for. */
export function formatError(error: unknown, debug: boolean): string {
  if (!(error instanceof Error)) return `error: ${String(error)}`;
  if (debug) return `error: ${error.stack ?? error.message}`;
  // An instance of the library's own class may come from another realm: the name is what counts.
  if (error.name === 'LibError') return `error: ${error.message}`;
  const where = firstOwnFrame(error.stack ?? '');
  const text = error.message.split('\n')[0] ?? '';
  const message = error.name === 'Error' ? text : `${error.name}: ${text}`;
  return `error: ${message}${where === undefined ? '' : `\n  at ${where}`}\n  (--debug prints the whole stack)`;
}

/** The topmost place outside of Node and of this package: that is where the user can do something. */
function firstOwnFrame(stack: string): string | undefined {
  // Syntax errors begin with the place itself.
  const [, broken, row] = /^(?:file:\/\/)?(\/[^\n]+|[A-Za-z]:[^\n]+):(\d+)\n/.exec(stack) ?? [];
  if (broken !== undefined) return `${relative(process.cwd(), broken)}:${row}`;
  for (const line of stack.split('\n')) {
    const [, file, position] = /(file:\/\/[^\s)]+?):(\d+:\d+)\)?$/.exec(line) ?? [];
    if (file === undefined || /\/(dist|bin)\//.test(file)) continue;
    return `${relative(process.cwd(), fileURLToPath(file))}:${position}`;
  }
  return undefined;
}
