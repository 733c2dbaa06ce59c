// Every entry that a training program may import, with every export.
export * as chainrule from 'chainrule';
export * as data from 'chainrule/data';
export * as func from 'chainrule/func';
export * as init from 'chainrule/init';
export * as nn from 'chainrule/nn';
export * as optim from 'chainrule/optim';
export * as train from 'chainrule/train';
