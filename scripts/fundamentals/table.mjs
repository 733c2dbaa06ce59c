// The table of docs/fundamentals.md.
import { architectures, data } from './data.mjs';
import { initializers, losses, norms } from './losses.mjs';
import { activations, layers, tensors } from './tensors.mjs';
import { optimizers, regularization, schedules, training } from './training.mjs';

export { corrections } from './corrections.mjs';

export const areas = [
  tensors,
  layers,
  activations,
  losses,
  initializers,
  norms,
  regularization,
  optimizers,
  schedules,
  training,
  data,
  architectures,
];

/** Numbers of the claims that are identities or closed forms. */
export const exactClaims = [
  1, 2, 4, 5, 7, 8, 10, 12, 13, 14, 15, 16, 24, 26, 28, 30, 31, 32, 34, 35, 38, 39, 40, 41, 43, 45, 47, 48, 50, 51, 54, 55, 57, 59, 60, 61,
  62, 63, 64, 66, 68, 69, 70, 72, 73, 75, 76, 77, 78, 79, 81, 82, 90, 92, 93, 94, 95, 98, 101, 104, 105, 108, 110, 112, 113, 114, 117, 118,
  119, 120, 122, 128, 129, 134, 136, 137, 141, 142, 146, 147, 151, 155, 156, 157, 158, 162, 163, 168, 169, 170, 188, 191, 193, 194, 195,
  196, 197, 198, 199, 200, 204, 214, 215, 216, 217, 218, 223, 225,
];

/** Claims about everything there is, which suites prove row by row. */
export const claimSuites = {
  64: ['suites/gradients: gradients agree with finite differences', 'rooms/nnBlocks: blocks: gradients agree with differences'],
};
