// The entry `chainrule/io`: files. Whichever entry a program imports first, the engine is chosen before its code runs.
import '../index.js';

export * from '../io/index.js';
