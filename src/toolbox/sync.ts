/** What `sync` and `multi` wait for: a promise, a Deferrable, or an object of a class made with `withDeferrable`. */
export type Syncable<T> = PromiseLike<T> | { readonly promise: Promise<T> };

/** A promise of what a deferrable object settles with. (em-synchrony's sync.) */
export function sync<T>(source: Syncable<T>): Promise<T> {
  const { promise } = source as { readonly promise?: Promise<T> };
  return promise ?? Promise.resolve(source as PromiseLike<T>);
}
