/**
 * One row of the table. `provides`: exports, separated by spaces: `gradcheck` of chainrule, `nn#Linear` of chainrule/nn, and members by
 * dots (`nn#init.zeros_`, `Tensor.detach`). `tests`: `suites/gradients: text`, a file of test/ and a part of its text, mostly a test's name.
 */
export const has = (id, title, provides, ...tests) => ({ id, title, provides: provides.split(' ').filter(Boolean), tests });

/** Planned, and said so: the page lists it as missing. */
export const pending = (id, title) => ({ id, title, provides: [], tests: [], pending: true });

/** A correction that is about words or advice, so there is nothing that a test could run. */
export const wording = (id, title) => ({ id, title, provides: [], tests: [], wording: true });
