// The entry `chainrule/optim`: optimizers and schedules. Whichever entry a program imports first, the engine is chosen before its code runs.
import '../index.js';

export * from '../optim/index.js';
