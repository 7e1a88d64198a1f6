import assert from "node:assert/strict";
import { Connection, Reactor } from "eventmachine";
import { onEveryEngine } from "../support/harness.js";
import { within } from "../support/wait.js";

onEveryEngine("connects and servers that fail while names are resolved", (engine) => {
  engine.rule("no rejection of theirs reaches the process", async () => {
    const unhandled: unknown[] = [];
    const note = (error: unknown) => unhandled.push(error);
    process.on("unhandledRejection", note);
    const resolvers = [
      () => Promise.reject(new Error("boom")),
      () => Promise.resolve([]),
      () => Promise.resolve(["no address"]),
      () => Promise.resolve(undefined as never),
      () => {
        throw new Error("boom");
      },
      () => new Promise<never>((_, reject) => setTimeout(reject, 20, new Error("late"))),
      () => new Promise<string[]>((resolve) => setTimeout(resolve, 20, ["127.0.0.1"])),
    ];
    try {
      for (const resolver of resolvers) {
        for (const isStopped of [false, true]) {
          const reactor = new Reactor({ engine: engine.name, resolver });
          class Client extends Connection {
            override unbind(): void {}
          }
          const run = reactor.run(async () => {
            const clients = [
              reactor.connect({ host: "one.test", port: 1 }, Client),
              reactor.connect({ host: "127.0.0.1", port: 1, localAddress: { host: "two.test" } }, Client),
              reactor.connect({ host: "one.test", port: 1, localAddress: { host: "two.test" } }, Client),
              reactor.connect({ host: "one.test", port: 1 }, Client),
            ];
            clients[3]?.closeConnection();
            const server = reactor.startServer({ host: "one.test", port: 0 }, Connection);
            const ends = clients.map((client) => client.closed);
            if (isStopped) reactor.stop();
            await server.catch(() => {});
            for (const reason of await Promise.all(ends)) assert.ok("error" in reason || reason.kind === "stop");
            reactor.stop();
          });
          await within(run, "the run ends");
        }
      }
      await new Promise((resolve) => setTimeout(resolve, 60));
      assert.deepEqual(unhandled, []);
    } finally {
      process.off("unhandledRejection", note);
    }
  });
});
