/**
 * The space of an exhaustive exploration, cut into parts that can be explored apart, on other threads or other machines: executions with the same beginning. Each part
 * knows what the parts before it have (a sleep set), so that all of them together make each execution once, as one exploration does.
 */
import { ExhaustiveScheduler, type Prefix } from './schedulers/exhaustive.js';
import { dependent, type Footprint } from './dependency.js';
import type { Search } from './search.js';
import type { Shard } from './shard.js';
import type { Settings } from './options.js';

/** A part is cut further until there are so many, or until they are whole executions. */
const PARTS_PER_SHARE = 8;

/** The parts of one share, the same on every machine. */
export function partsOf(parts: readonly Prefix[], { index, count }: Shard): Prefix[] {
  return parts.filter((_part, at) => at % count === index - 1);
}

/** Enough parts for so many shares; deterministic. */
export async function cut(search: Search, settings: Settings, shares: number): Promise<Prefix[]> {
  const wanted = shares * PARTS_PER_SHARE;
  let parts: { readonly prefix: Prefix; readonly whole: boolean }[] = [
    { prefix: { choices: [], sleep: [] }, whole: false },
  ];
  while (parts.length < wanted && parts.some(({ whole }) => !whole)) {
    const next: typeof parts = [];
    for (const part of parts) {
      if (part.whole) next.push(part);
      else next.push(...(await split(search, settings, part.prefix)));
    }
    parts = next;
  }
  return parts.map(({ prefix }) => prefix);
}

/** By the choice that comes next. Choices that are asleep are in another part. */
async function split(
  search: Search,
  settings: Settings,
  prefix: Prefix,
): Promise<{ prefix: Prefix; whole: boolean }[]> {
  const depth = prefix.choices.length;
  const here = await probe(search, settings, prefix, depth);
  if (here === null) return [{ prefix, whole: true }];
  const sleep = new Map<number, Footprint>(settings.reduction ? prefix.sleep : []);
  const children: { prefix: Prefix; whole: boolean }[] = [];
  for (let choice = 0; choice < here.ids.length; choice++) {
    const id = here.ids[choice]!;
    if (sleep.has(id)) continue;
    const choices = [...prefix.choices, choice];
    const step = await probe(search, settings, { choices, sleep: [] }, depth);
    if (step === null) throw new Error('a step that was there is not there any more');
    const inherited = [...sleep].filter(([, touched]) => !dependent(touched, step.footprint));
    children.push({ prefix: { choices, sleep: inherited }, whole: false });
    if (settings.reduction) sleep.set(id, step.footprint);
  }
  return children;
}

/** What could go on after so many steps of the executions that begin so, and what the step that was chosen then touched; null if they have ended. */
async function probe(search: Search, { reduction }: Settings, prefix: Prefix, step: number) {
  const scheduler = await search.run(
    () => new ExhaustiveScheduler({ reduction: true, prefix: { choices: prefix.choices, sleep: [] } }),
    () => false,
  );
  const at = scheduler.at(step);
  return at === null ? null : { ids: at.ids, footprint: reduction ? at.footprint : 0 };
}
