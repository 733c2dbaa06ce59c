// The entry `chainrule/models`: architectures. Whichever entry a program imports first, the engine is chosen before its code runs.
import '../index.js';

export * from '../models/index.js';
