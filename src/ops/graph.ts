/** Methods that are about the graph and not about values. */
export { backward } from '../tensor/autograd.js';
