/** In a page for production calls are not held to signatures, and what it does not use stays outside its bundle. */
export const tables: readonly Readonly<Record<string, unknown>>[] = [];
