import { Connection, type EngineName, Reactor } from "eventmachine";
import { nativeCounts } from "../../support/native_counts.js";

/**
 * Keeps every borrowed view it is given, against all advice, over several lives of a reactor, and reads them all when the
 * engine that lent them is gone: `keeping.js ENGINE`, with --expose-gc. What is in them is anybody's guess; that they can be
 * read is not.
 */
const kept: Buffer[] = [];

/** AddressSanitizer finds fault with whoever reads the engine's memory outside the view, as a transfer that copies does. */
const isSanitized = process.env.LD_PRELOAD?.includes("asan") === true;

/** Worse than keeping: tries to take the memory away from its owner, who must go on whether that is refused or not. */
function snatch(memory: ArrayBuffer): void {
  try {
    structuredClone(memory, { transfer: [memory] });
  } catch (error) {
    if ((error as Error).name !== "DataCloneError") throw error;
  }
}

class Keeper extends Connection {
  static override readonly borrowsData = true;

  override receiveData(data: Buffer): void {
    kept.push(data);
    this.sendData("more");
    if (kept.length % 50 === 0 && !isSanitized) snatch(data.buffer as ArrayBuffer);
  }
}

class Feeder extends Connection {
  #count = 0;
  readonly #done: () => void;

  constructor(done: () => void) {
    super();
    this.#done = done;
  }
  override connectionCompleted(): void {
    this.sendData(Buffer.alloc(10_000, "k"));
  }
  override receiveData(): void {
    if (++this.#count === 200) this.#done();
    else this.sendData(Buffer.alloc(this.#count * 100, "k"));
  }
}

function collect(): void {
  for (let round = 0; round < 3; round++) gc?.();
}

/** Reads here and there in all of it: every page must be there. */
function readAll(): number {
  let sum = 0;
  for (const view of kept) for (let at = 0; at < view.length; at += 64) sum += view[at] ?? 0;
  return sum;
}

for (let life = 0; life < 4; life++) {
  const reactor = new Reactor({ engine: process.argv[2] as EngineName });
  await reactor.run(async () => {
    const { port } = await reactor.startServer({ host: "127.0.0.1", port: 0 }, Keeper);
    reactor.connect({ host: "127.0.0.1", port: port as number }, Feeder, () => reactor.stop());
    reactor.addPeriodicTimer(20, () => gc?.());
  });
  collect();
  readAll();
}
const views = kept.length;
collect();
readAll();
const whileKept = nativeCounts();
kept.length = 0;

/** Memory goes back when nobody can look at it any more: finalizers run in a turn of their own behind the collection. */
let counts = nativeCounts();
for (let round = 0; round < 100 && counts !== undefined && (counts.regions > 0 || counts.loops > 0); round++) {
  collect();
  await new Promise((resolve) => setTimeout(resolve, 10));
  counts = nativeCounts();
}
console.log(JSON.stringify({ views, whileKept, counts }));
