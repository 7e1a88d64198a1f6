import { AsyncResource } from "node:async_hooks";

/**
 * The async context everything is delivered under: the one this module was loaded in, which is empty in a program that
 * imports it the ordinary way.
 *
 * node:net calls back in the context its socket was made in, and process.nextTick in that of whoever asked. Up to
 * Node 22 `AsyncLocalStorage.enterWith` moreover writes into the very resource that is executing, so a store entered in
 * one callback of a socket would show in all its later ones, and one entered while accepting in every connection of
 * the listener. A resource of its own for each delivery, made in the scope of an untouched one, inherits nothing and
 * is thrown away with whatever was entered in it. It costs about a tenth of a microsecond.
 */
const untouched = new AsyncResource("EventMachine");

function makeResource(): AsyncResource {
  return new AsyncResource("EventMachine");
}

/** A context to deliver one batch in: nothing entered anywhere else shows in it. */
export function cleanContext(): AsyncResource {
  return untouched.runInAsyncScope(makeResource);
}
