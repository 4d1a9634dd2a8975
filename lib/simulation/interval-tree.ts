/**
 * An interval tree for notifiers, as lib/interval_tree.c is for the kernel: all intervals that overlap [start, end), by
 * ascending start, equal starts in the order of insertion. Cost: log n per operation, and per hit.
 *
 * A B+ tree in typed arrays, some 45 bytes an interval and no object, because a driver may well register a million. What a search costs is how
 * many lines of the cache it has to wait for: here a few neighbours in each of a handful of nodes, where a binary tree has twenty nodes in twenty places.
 */

/** Entries of a node. More make the tree lower, and the search in a node longer. */
const FANOUT = 32;
/** Two neighbours that have together no more than this become one: far enough below FANOUT that the next insertion does not split it again. */
const MERGED = 24;
const NONE = -1;
/** Entries that there is room for at first: so few that the arrays lie in the heap of JavaScript, where making them costs next to nothing. */
const FIRST_ENTRIES = 4;
/** Deeper than a tree of all the intervals that memory has room for. */
const MAX_DEPTH = 32;

/**
 * Node n has the entries from n * FANOUT on. Of a leaf an entry is an interval: start, end, handle. Of another node it is a child: a start that
 * none in it is below, the largest end in it, its number.
 */
export class IntervalTree<Item> {
  /** By entry. A search looks at the ends of a node, one after the other, and at few of the starts. */
  #ends = new Float64Array(FIRST_ENTRIES);
  #starts = new Float64Array(FIRST_ENTRIES);
  /** By entry: the handle, or the child. */
  #refs = new Int32Array(FIRST_ENTRIES);
  /** By node: how many entries it has. */
  #counts = new Int32Array(1);
  /** By node: the one above it, NONE above the root. */
  #parents = new Int32Array([NONE]);
  /** By node: 0 for a leaf. */
  #levels = new Uint8Array(1);
  /** By handle: its leaf. */
  #leaves = new Int32Array(1 + FIRST_ENTRIES);
  /** By handle; there is no handle 0. */
  readonly #items: (Item | undefined)[] = [undefined];
  readonly #freeHandles: number[] = [];
  readonly #freeNodes: number[] = [];
  #nodes = 1;
  #root = 0;
  #size = 0;
  /** Of a query: in each level above the leaf where it is, the next entry to look at, and the end of that node's. */
  readonly #path = new Int32Array(2 * MAX_DEPTH);

  get size(): number {
    return this.#size;
  }

  /** @returns a handle for remove(), never 0 */
  insert(start: number, end: number, item: Item): number {
    let node = this.#root;
    while (this.#levels[node] !== 0) {
      const starts = this.#starts;
      const ends = this.#ends;
      const first = node * FANOUT;
      // The last child that may hold this start: a new interval is the last among its equals.
      let entry = first + this.#counts[node]! - 1;
      while (entry > first && starts[entry]! > start) entry--;
      if (starts[entry]! > start) starts[entry] = start;
      if (ends[entry]! < end) ends[entry] = end;
      node = this.#refs[entry]!;
    }
    const handle = this.#freeHandles.pop() ?? this.#items.length;
    this.#items[handle] = item;
    if (handle >= this.#leaves.length) this.#leaves = wider(new Int32Array(2 * handle), this.#leaves);
    let at = this.#counts[node]!;
    const first = node * FANOUT;
    while (at > 0 && this.#starts[first + at - 1]! > start) at--;
    this.#put(node, at, start, end, handle);
    this.#size++;
    return handle;
  }

  remove(handle: number): void {
    const leaf = this.#leaves[handle]!;
    this.#take(leaf, this.#entryOf(leaf, handle));
    this.#items[handle] = undefined;
    this.#freeHandles.push(handle);
    this.#size--;
  }

  /** All that overlap [start, end), in order. */
  query(start: number, end: number): Item[] {
    const hits: Item[] = [];
    const starts = this.#starts;
    const ends = this.#ends;
    const refs = this.#refs;
    const path = this.#path;
    let depth = 0;
    let node = this.#root;
    let level = this.#levels[node]!;
    let entry = node * FANOUT;
    let last = entry + this.#counts[node]!;
    for (;;) {
      // To the next entry that may overlap. One that starts too late ends too late as well, and from it on none does.
      while (entry < last && ends[entry]! <= start) entry++;
      if (entry < last && starts[entry]! < end) {
        if (level === 0) {
          hits.push(this.#items[refs[entry]!]!);
          entry++;
          continue;
        }
        path[depth++] = entry + 1;
        path[depth++] = last;
        node = refs[entry]!;
        level--;
        entry = node * FANOUT;
        last = entry + this.#counts[node]!;
        continue;
      }
      if (depth === 0) return hits;
      last = path[--depth]!;
      entry = path[--depth]!;
      level++;
    }
  }

  /** Puts an entry into a node, before its entry number `at`; a full one is split. What lies above knows of the entry's bounds already. */
  #put(node: number, at: number, start: number, end: number, ref: number): void {
    const count = this.#counts[node]!;
    if (count < FANOUT) {
      if (node * FANOUT + count >= this.#refs.length) this.#growEntries(node * FANOUT + count + 1);
      this.#move(node, at, node, at + 1, count - at);
      this.#set(node, at, start, end, ref);
      this.#counts[node] = count + 1;
      return;
    }
    // Intervals that come in ascending order leave full nodes behind.
    const kept = at === FANOUT ? FANOUT : FANOUT / 2;
    const right = this.#newNode(this.#levels[node]!);
    this.#move(node, kept, right, 0, FANOUT - kept);
    this.#counts[node] = kept;
    this.#counts[right] = FANOUT - kept;
    if (at < kept) this.#put(node, at, start, end, ref);
    else this.#put(right, at - kept, start, end, ref);
    this.#hang(node, right);
  }

  /** A node that was split off: it comes after the one that it was a part of. */
  #hang(node: number, right: number): void {
    let parent = this.#parents[node]!;
    const first = right * FANOUT;
    if (parent === NONE) {
      parent = this.#newNode(this.#levels[node]! + 1);
      this.#root = parent;
      this.#put(parent, 0, this.#starts[node * FANOUT]!, this.#maxEnd(node), node);
    } else {
      this.#ends[parent * FANOUT + this.#entryOf(parent, node)] = this.#maxEnd(node);
    }
    this.#put(parent, this.#entryOf(parent, node) + 1, this.#starts[first]!, this.#maxEnd(right), right);
  }

  /** Takes entry number `at` out of a node, and the node away if it is empty or fits into a neighbour. */
  #take(node: number, at: number): void {
    const count = this.#counts[node]! - 1;
    this.#move(node, at + 1, node, at, count - at);
    this.#counts[node] = count;
    const parent = this.#parents[node]!;
    if (parent === NONE) {
      if (count === 1 && this.#levels[node] !== 0) this.#lower();
      return;
    }
    const place = this.#entryOf(parent, node);
    if (count === 0) {
      this.#freeNodes.push(node);
      this.#take(parent, place);
      return;
    }
    const right = this.#counts[parent]! > place + 1 ? this.#refs[parent * FANOUT + place + 1]! : NONE;
    if (right !== NONE && count + this.#counts[right]! <= MERGED) {
      this.#move(right, 0, node, count, this.#counts[right]!);
      this.#counts[node] = count + this.#counts[right]!;
      this.#freeNodes.push(right);
      this.#shrink(node);
      this.#take(parent, place + 1);
      return;
    }
    this.#shrink(node);
  }

  /** The root has one child only, which becomes the root; and so on. */
  #lower(): void {
    while (this.#levels[this.#root] !== 0 && this.#counts[this.#root] === 1) {
      this.#freeNodes.push(this.#root);
      this.#root = this.#refs[this.#root * FANOUT]!;
      this.#parents[this.#root] = NONE;
    }
  }

  /** Tells those above that the largest end of a node may be another. */
  #shrink(node: number): void {
    let below = node;
    for (let parent = this.#parents[below]!; parent !== NONE; parent = this.#parents[below]!) {
      const entry = parent * FANOUT + this.#entryOf(parent, below);
      const end = this.#maxEnd(below);
      if (this.#ends[entry] === end) return;
      this.#ends[entry] = end;
      below = parent;
    }
  }

  #maxEnd(node: number): number {
    const first = node * FANOUT;
    let max = this.#ends[first]!;
    for (let entry = first + 1; entry < first + this.#counts[node]!; entry++) {
      const end = this.#ends[entry]!;
      if (end > max) max = end;
    }
    return max;
  }

  /** Which entry of a node a handle or a child is. */
  #entryOf(node: number, ref: number): number {
    let entry = node * FANOUT;
    while (this.#refs[entry] !== ref) entry++;
    return entry - node * FANOUT;
  }

  #set(node: number, at: number, start: number, end: number, ref: number): void {
    const entry = node * FANOUT + at;
    this.#starts[entry] = start;
    this.#ends[entry] = end;
    this.#refs[entry] = ref;
    if (this.#levels[node] === 0) this.#leaves[ref] = node;
    else this.#parents[ref] = node;
  }

  /** Moves `count` entries, inside a node, or to another of its level. */
  #move(from: number, fromAt: number, to: number, toAt: number, count: number): void {
    if (count === 0) return;
    const starts = this.#starts;
    const ends = this.#ends;
    const refs = this.#refs;
    const source = from * FANOUT + fromAt;
    const target = to * FANOUT + toAt;
    // From the end that is not written over before it is read. So few that a built-in would cost more.
    const step = target > source ? -1 : 1;
    for (let left = count, at = step > 0 ? 0 : count - 1; left > 0; left--, at += step) {
      starts[target + at] = starts[source + at]!;
      ends[target + at] = ends[source + at]!;
      refs[target + at] = refs[source + at]!;
    }
    if (from === to) return;
    const owners = this.#levels[to] === 0 ? this.#leaves : this.#parents;
    for (let entry = target; entry < target + count; entry++) owners[refs[entry]!] = to;
  }

  #newNode(level: number): number {
    const node = this.#freeNodes.pop() ?? this.#nodes++;
    if (node >= this.#counts.length) {
      this.#counts = wider(new Int32Array(2 * node), this.#counts);
      this.#parents = wider(new Int32Array(2 * node), this.#parents);
      this.#levels = wider(new Uint8Array(2 * node), this.#levels);
    }
    this.#growEntries((node + 1) * FANOUT);
    this.#counts[node] = 0;
    this.#parents[node] = NONE;
    this.#levels[node] = level;
    return node;
  }

  /** Makes room for so many entries. */
  #growEntries(needed: number): void {
    let length = this.#refs.length;
    if (length >= needed) return;
    while (length < needed) length *= 2;
    this.#ends = wider(new Float64Array(length), this.#ends);
    this.#starts = wider(new Float64Array(length), this.#starts);
    this.#refs = wider(new Int32Array(length), this.#refs);
  }
}

function wider<T extends Float64Array | Int32Array | Uint8Array>(next: T, old: T): T {
  next.set(old);
  return next;
}
