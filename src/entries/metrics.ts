// The entry `chainrule/metrics`: how good outputs are. Whichever entry a program imports first, the engine is chosen before its code runs.
import '../index.js';

export * from '../metrics/index.js';
