// The entry `chainrule/nn`: layers. Whichever entry a program imports first, the engine is chosen before its code runs.
import '../index.js';

export * from '../nn/index.js';
