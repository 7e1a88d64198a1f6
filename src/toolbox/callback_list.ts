/**
 * Callbacks in the order they were added: a circular list, held by its last link. Adding one, and taking the first, costs the
 * same however many there are, and one callback costs one object.
 */
export type CallbackList<V> = Link<V> | undefined;

interface Link<V> {
  readonly call: (value: V) => unknown;
  next: Link<V>;
}

/** The list with a callback after the others. */
export function append<V>(last: CallbackList<V>, call: (value: V) => unknown): Link<V> {
  const link = { call, next: undefined } as unknown as Link<V>;
  link.next = last?.next ?? link;
  if (last !== undefined) last.next = link;
  return link;
}

/** The rest after the first, which is `last.next`. */
export function withoutFirst<V>(last: Link<V>): CallbackList<V> {
  if (last.next === last) return undefined;
  last.next = last.next.next;
  return last;
}

/** The list without a callback, as often as that was added. */
export function without<V>(last: CallbackList<V>, call: (value: V) => unknown): CallbackList<V> {
  let kept: CallbackList<V>;
  for (let link = last?.next; link !== undefined; link = link === last ? undefined : link.next) {
    if (link.call !== call) kept = append(kept, link.call);
  }
  return kept;
}
