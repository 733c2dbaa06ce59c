/** The last part of a path or address, for messages. */
export function fileName(source: string | URL): string {
  return `${source}`.split(/[\\/]/).at(-1) || `${source}`;
}
