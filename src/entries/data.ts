// The entry `chainrule/data`: datasets and loaders. Whichever entry a program imports first, the engine is chosen before its code runs.
import '../index.js';

export * from '../data/index.js';
