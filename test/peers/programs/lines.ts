import { type CloseReason, type EngineName, LineText2, Reactor } from "eventmachine";

/**
 * Counts lines: `lines.js ENGINE` prints its port, then for every connection that ends how it went, with the most memory
 * the process had meanwhile.
 */
let most = 0;

class Lines extends LineText2 {
  #lines = 0;

  override receiveLine(): void {
    this.#lines++;
  }

  override unbind(reason: CloseReason): void {
    const error = "error" in reason ? (reason.error as { code?: string; limit?: number; name: string }) : undefined;
    const { code, limit, name } = error ?? {};
    const told = { kind: reason.kind, code, limit, name, lines: this.#lines, bytesIn: this.bytesIn, most };
    console.log(JSON.stringify(told));
  }
}

const reactor = new Reactor({ engine: process.argv[2] as EngineName });
reactor.onError(() => {});
await reactor.run(async () => {
  const lines = await reactor.startServer({ host: "127.0.0.1", port: 0 }, Lines);
  console.log(JSON.stringify({ port: lines.port }));
  reactor.addPeriodicTimer(5, () => {
    most = Math.max(most, process.memoryUsage.rss());
  });
});
