// The entry `chainrule/testing`: the test suites of ops. Whichever entry a program imports first, the engine is chosen before its code runs.
import '../index.js';

export * from '../testing/index.js';
