import { setTimeout as sleep } from "node:timers/promises";
import { ThreadedResource } from "eventmachine";
import type { Ledger } from "../resources/ledger.js";

// Says when a call has been answered, and leaves the resource as it is: the process is to end by itself, and not before.
const ledger = new ThreadedResource<Ledger>(new URL("../resources/ledger.js", import.meta.url), { args: ["Ann"] });
const slow = ledger.dispatch("addSlowly", "entry");
slow.callback((value) => console.log(`answered ${value}`));
await ledger.opened;
await slow;
await sleep(5);
