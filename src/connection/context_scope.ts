import { AsyncResource } from "node:async_hooks";

function makeResource(): AsyncResource {
  return new AsyncResource("EventMachine");
}

/**
 * A scope for one callback that sees what `context` sees. Up to Node 22 `AsyncLocalStorage.enterWith` writes into the very
 * resource that is executing: in one that many callbacks share, a store that one of them enters would show in all others.
 */
export function scopeOf(context: AsyncResource): AsyncResource {
  return context.runInAsyncScope(makeResource);
}
