/**
 * An interval tree for notifiers, as lib/interval_tree.c is for the kernel: all intervals that overlap [start, end), by
 * ascending start, equal starts in the order of insertion. Cost: log n per operation, and per hit.
 *
 * A treap in typed arrays: 36 bytes a node and no object, because a driver may well register a million intervals.
 */

const NIL = 0;
/** Nodes that there is room for at first: so few that the arrays lie in the heap of JavaScript, where making them costs next to nothing. */
const FIRST_NODES = 8;

export class IntervalTree<Item> {
  #start = new Float64Array(FIRST_NODES);
  #end = new Float64Array(FIRST_NODES);
  /** The largest end in the subtree. */
  #maxEnd = new Float64Array(FIRST_NODES);
  /** Order of insertion, which breaks ties. */
  #order = new Float64Array(FIRST_NODES);
  #left = new Int32Array(FIRST_NODES);
  #right = new Int32Array(FIRST_NODES);
  #priority = new Uint32Array(FIRST_NODES);
  #items: (Item | undefined)[] = [undefined];
  #free: number[] = [];
  #used = 1;
  #root = NIL;
  #orders = 0;
  #seed = 0x9e3779b9;
  #size = 0;
  readonly #path: number[] = [];

  get size(): number {
    return this.#size;
  }

  /** @returns a handle for remove() */
  insert(start: number, end: number, item: Item): number {
    const node = this.#allocate(start, end, item);
    const priority = this.#priority[node]!;
    // Down to where the heap order lets the node sit; every subtree passed will contain it.
    let parent = NIL;
    let at = this.#root;
    while (at !== NIL && this.#priority[at]! >= priority) {
      if (end > this.#maxEnd[at]!) this.#maxEnd[at] = end;
      parent = at;
      // A new node is the last among its equals, so only a greater start sends it to the left.
      at = this.#start[at]! > start ? this.#left[at]! : this.#right[at]!;
    }
    this.#split(at, start, node);
    this.#replace(parent, at, node, start);
    this.#size++;
    return node;
  }

  remove(node: number): void {
    const start = this.#start[node]!;
    const order = this.#order[node]!;
    const path = this.#path;
    path.length = 0;
    let at = this.#root;
    while (at !== node) {
      path.push(at);
      const before = this.#start[at]! > start || (this.#start[at] === start && this.#order[at]! > order);
      at = before ? this.#left[at]! : this.#right[at]!;
    }
    const merged = this.#merge(this.#left[node]!, this.#right[node]!);
    const parent = path.at(-1) ?? NIL;
    if (parent === NIL) this.#root = merged;
    else if (this.#left[parent] === node) this.#left[parent] = merged;
    else this.#right[parent] = merged;
    for (let index = path.length - 1; index >= 0; index--) this.#update(path[index]!);
    this.#items[node] = undefined;
    this.#free.push(node);
    this.#size--;
  }

  /** All that overlap [start, end), in order. The tree must not change before the array is used up. */
  query(start: number, end: number): Item[] {
    const hits: Item[] = [];
    this.#collect(this.#root, start, end, hits);
    return hits;
  }

  #collect(node: number, start: number, end: number, hits: Item[]): void {
    let at = node;
    while (at !== NIL && this.#maxEnd[at]! > start) {
      this.#collect(this.#left[at]!, start, end, hits);
      if (this.#start[at]! >= end) return;
      if (this.#end[at]! > start) hits.push(this.#items[at]!);
      at = this.#right[at]!;
    }
  }

  #update(node: number): void {
    let max = this.#end[node]!;
    const left = this.#left[node]!;
    const right = this.#right[node]!;
    if (left !== NIL && this.#maxEnd[left]! > max) max = this.#maxEnd[left]!;
    if (right !== NIL && this.#maxEnd[right]! > max) max = this.#maxEnd[right]!;
    this.#maxEnd[node] = max;
  }

  /** Splits the subtree at `at` by start, and hangs the halves under `node`. */
  #split(at: number, start: number, node: number): void {
    const path = this.#path;
    path.length = 0;
    let lastLess = NIL;
    let lastGreater = NIL;
    let current = at;
    while (current !== NIL) {
      path.push(current);
      if (this.#start[current]! <= start) {
        if (lastLess === NIL) this.#left[node] = current;
        else this.#right[lastLess] = current;
        lastLess = current;
        current = this.#right[current]!;
      } else {
        if (lastGreater === NIL) this.#right[node] = current;
        else this.#left[lastGreater] = current;
        lastGreater = current;
        current = this.#left[current]!;
      }
    }
    if (lastLess !== NIL) this.#right[lastLess] = NIL;
    if (lastGreater !== NIL) this.#left[lastGreater] = NIL;
    for (let index = path.length - 1; index >= 0; index--) this.#update(path[index]!);
    this.#update(node);
  }

  #replace(parent: number, old: number, node: number, start: number): void {
    if (parent === NIL) this.#root = node;
    else if (old !== NIL ? this.#left[parent] === old : this.#start[parent]! > start) this.#left[parent] = node;
    else this.#right[parent] = node;
  }

  #merge(less: number, greater: number): number {
    if (less === NIL) return greater;
    if (greater === NIL) return less;
    if (this.#priority[less]! >= this.#priority[greater]!) {
      this.#right[less] = this.#merge(this.#right[less]!, greater);
      this.#update(less);
      return less;
    }
    this.#left[greater] = this.#merge(less, this.#left[greater]!);
    this.#update(greater);
    return greater;
  }

  #allocate(start: number, end: number, item: Item): number {
    const node = this.#free.pop() ?? this.#used++;
    if (node === this.#start.length) this.#grow();
    this.#start[node] = start;
    this.#end[node] = end;
    this.#maxEnd[node] = end;
    this.#order[node] = this.#orders++;
    this.#left[node] = NIL;
    this.#right[node] = NIL;
    // xorshift32: balance needs priorities that have nothing to do with the keys, and the same ones in every run.
    this.#seed ^= this.#seed << 13;
    this.#seed ^= this.#seed >>> 17;
    this.#seed ^= this.#seed << 5;
    this.#priority[node] = this.#seed >>> 0;
    this.#items[node] = item;
    return node;
  }

  #grow(): void {
    const length = this.#start.length * 2;
    const wider = <T extends Float64Array | Int32Array | Uint32Array>(next: T, old: T): T => {
      next.set(old);
      return next;
    };
    this.#start = wider(new Float64Array(length), this.#start);
    this.#end = wider(new Float64Array(length), this.#end);
    this.#maxEnd = wider(new Float64Array(length), this.#maxEnd);
    this.#order = wider(new Float64Array(length), this.#order);
    this.#left = wider(new Int32Array(length), this.#left);
    this.#right = wider(new Int32Array(length), this.#right);
    this.#priority = wider(new Uint32Array(length), this.#priority);
  }
}
