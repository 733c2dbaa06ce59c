// The entry `chainrule/train`: the training loop. Whichever entry a program imports first, the engine is chosen before its code runs.
import '../index.js';

export * from '../train/index.js';
