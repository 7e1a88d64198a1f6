import assert from "node:assert/strict";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { DiagnosticsMessages } from "eventmachine";
import { onEveryEngine } from "../support/harness.js";

type Name = keyof DiagnosticsMessages;

const NAMES: readonly Name[] = [
  "eventmachine:connection:open",
  "eventmachine:connection:close",
  "eventmachine:connection:error",
  "eventmachine:listener:accept",
  "eventmachine:reactor:turn",
];

/** Listens on all channels while the action runs. */
async function published(action: () => Promise<unknown>): Promise<{ name: Name; message: never }[]> {
  const messages: { name: Name; message: never }[] = [];
  const listeners = NAMES.map((name) => {
    const listener = (message: unknown): void => void messages.push({ name, message: message as never });
    subscribe(name, listener);
    return () => unsubscribe(name, listener);
  });
  try {
    await action();
  } finally {
    for (const forget of listeners) forget();
  }
  return messages;
}

function of<N extends Name>(messages: { name: Name; message: never }[], name: N): DiagnosticsMessages[N][] {
  return messages.filter((each) => each.name === name).map(({ message }) => message as DiagnosticsMessages[N]);
}

onEveryEngine("diagnostics channels", (engine) => {
  engine.rule("tell of connections that open and close, of accepts and of turns", async (trial) => {
    const order: string[] = [];
    const messages = await published(async () => {
      const { client, server } = await trial.pair({
        client: { connectionCompleted: () => void order.push("completed"), unbind: () => void order.push("unbound") },
        server: { receiveData: (me) => me.closeConnectionAfterWriting() },
      });
      client.sendData("x");
      await trial.allUnbound();
      assert.equal(server.kind, "local-close");
    });
    const [client, server] = [...trial.recorders].sort((a, b) => a.label.localeCompare(b.label));
    const opened = of(messages, "eventmachine:connection:open");
    assert.deepEqual(new Set(opened.map(({ connection }) => connection)), new Set([client, server]));
    const accepted = of(messages, "eventmachine:listener:accept");
    assert.equal(accepted.length, 1);
    assert.equal(accepted[0]?.connection, server);
    assert.equal(accepted[0]?.address?.family, "IPv4");
    const closed = of(messages, "eventmachine:connection:close");
    assert.equal(closed.length, 2);
    for (const { connection, reason, reactor } of closed) {
      assert.equal(reason, (connection as typeof client)?.reason);
      assert.equal(reactor, trial.reactor);
    }
    const turns = of(messages, "eventmachine:reactor:turn");
    assert.ok(turns.length > 0);
    for (const { duration, reactor } of turns) {
      assert.equal(reactor, trial.reactor);
      assert.ok(duration >= 0 && duration < 10_000);
    }
  });

  engine.rule("tell of errors nobody took, and of connects that failed", async (trial) => {
    const reported: unknown[] = [];
    trial.reactor.onError((error) => reported.push(error));
    const error = new Error("a handler's");
    const messages = await published(async () => {
      const { client } = await trial.pair({
        server: {
          receiveData: () => {
            throw error;
          },
        },
      });
      client.sendData("x");
      await trial.allUnbound();
      const refused = trial.dial({ host: "127.0.0.1", port: await trial.deadPort() });
      await trial.allUnbound(refused);
    });
    const errors = of(messages, "eventmachine:connection:error");
    assert.equal(errors.length, 1);
    assert.equal(errors[0]?.error, error);
    assert.deepEqual(reported, [error]);
    const kinds = of(messages, "eventmachine:connection:close").map(({ reason }) => reason.kind);
    assert.ok(kinds.includes("handler-error"));
    assert.ok(kinds.includes("connect-refused"));
  });

  engine.rule("tell of the connection itself where a stream has its data", async (trial) => {
    const messages = await published(async () => {
      const { client, server } = await trial.pair();
      const loop = client[Symbol.asyncIterator]();
      server.closeConnection();
      await loop.next();
      await trial.allUnbound();
    });
    const closed = of(messages, "eventmachine:connection:close").map(({ connection }) => connection);
    assert.deepEqual(new Set(closed), new Set(trial.recorders));
  });

  engine.rule("a turn that a listener joins in its middle is not told of", async (trial) => {
    const turns: number[] = [];
    const listener = (message: unknown): void => void turns.push((message as { duration: number }).duration);
    await trial.turn();
    subscribe("eventmachine:reactor:turn", listener);
    trial.block(1);
    await trial.turn();
    await trial.turn();
    unsubscribe("eventmachine:reactor:turn", listener);
    const count = turns.length;
    await trial.turn();
    await trial.turn();
    assert.equal(turns.length, count, "nothing is published when nobody listens");
    assert.ok(count > 0);
  });
});
