import type { FeedForwardActivation } from '../nn/index.js';
import type { Tensor } from '../tensor/tensor.js';
import { type Gpt, smallGpt } from './gpt.js';
import { supervisedTask, type TinyTask } from './task.js';
import { nextTokenLoss, nextWords } from './textTask.js';

/** A member of the family: everything else is the same, data and seed included. */
export interface FamilyMember {
  readonly gated: boolean;
  readonly activation: FeedForwardActivation;
  readonly normPosition: 'pre' | 'post';
}
/** Vanilla and gated feed-forward parts, ReLU, GELU and SiLU, norms before the parts and after the sums: twelve models. */
export const languageFamily: readonly FamilyMember[] = [false, true].flatMap((gated) =>
  (['relu', 'gelu', 'silu'] as const).flatMap((activation) =>
    (['pre', 'post'] as const).map((normPosition) => ({ gated, activation, normPosition })),
  ),
);
export const memberName = ({ gated, activation, normPosition }: FamilyMember): string =>
  `${activation}${gated ? ', gated' : ''}, ${normPosition}-norm`;

/** A member on the synthetic text. Gated parts are 2/3 as wide, so that all have about as many parameters. */
export const familyTask = (member: FamilyMember, steps: number = 100): TinyTask<Gpt> =>
  supervisedTask({
    id: 'ARC-36',
    name: `language model: ${memberName(member)}`,
    build: () => smallGpt({ dropout: 0, block: { ...member } }),
    batch: (step) => nextWords(step),
    loss: (model, x: Tensor, y: Tensor) => nextTokenLoss(model.forward(x), y),
    steps,
    lr: 3e-3,
  });

export interface FamilyRow {
  readonly name: string;
  readonly parameters: number;
  /** Of the next word in text drawn apart, in nats, before and after training. */
  readonly before: number;
  readonly after: number;
  readonly perplexity: number;
}
/** Trains members on the same text from the same seed, and gives a table, best first. */
export function compareLanguageModels(
  members: readonly FamilyMember[] = languageFamily,
  { steps = 100, seed = 0 }: { readonly steps?: number; readonly seed?: number } = {},
): FamilyRow[] {
  const rows = members.map((member): FamilyRow => {
    const { model, before, after } = familyTask(member, steps).run({ seed });
    const parameters = model.parameters().reduce((n, p) => n + p.size, 0);
    return { name: memberName(member), parameters, before, after, perplexity: Math.exp(after) };
  });
  return rows.sort((a, b) => a.after - b.after);
}

export const vanillaTiny: TinyTask<Gpt> = familyTask({ gated: false, activation: 'relu', normPosition: 'pre' });
export const gatedTiny: TinyTask<Gpt> = familyTask({ gated: true, activation: 'silu', normPosition: 'pre' });
export const postNormTiny: TinyTask<Gpt> = familyTask({ gated: false, activation: 'gelu', normPosition: 'post' });
