import assert from "node:assert/strict";
import { closeSync } from "node:fs";
import { type ConnectError, Connection } from "eventmachine";
import { PatternCheck, pattern, sameBytes } from "../support/bytes.js";
import { sockets } from "../support/descriptors.js";
import { onEveryEngine } from "../support/harness.js";
import { Recorder } from "../support/recorder.js";
import type { Trial } from "../support/trial.js";

const refused = async (trial: Trial) => {
  const { client, server } = await trial.pair();
  try {
    await server.detach();
  } finally {
    assert.equal(server.state, "open", "a refused detach changes nothing");
    client.sendData("still here");
    await trial.until(() => server.text === "still here", "the connection lives");
    client.closeConnection();
    await trial.allUnbound();
    await trial.settle(5);
  }
};

onEveryEngine("detach", (engine) => {
  engine.ruleNeeding(
    "detach",
    "it gives the descriptor out and unbinds, and the peer notices nothing",
    async (trial) => {
      const { client, server } = await trial.pair();
      const { fd, unread } = await server.detach();
      assert.ok(Number.isInteger(fd) && fd > 2);
      assert.equal(unread.length, 0);
      await trial.allUnbound(server);
      assert.deepEqual(server.reason, { kind: "detached" });
      const again = trial.reactor.attach({ fd }, Recorder, trial, { name: "attached" });
      await again.opened;
      assert.deepEqual(again.log, ["postInit", "connectionCompleted"]);
      assert.deepEqual(again.remoteAddress, client.localAddress);
      client.sendData("ping");
      await trial.until(() => again.text === "ping", "the descriptor works on");
      again.sendData("pong");
      await trial.until(() => client.text === "pong", "both ways");
      assert.equal(client.state, "open");
    },
    refused,
  );

  engine.ruleNeeding(
    "detach",
    "what was queued is sent first, however much",
    async (trial) => {
      const size = 8_000_000;
      const check = new PatternCheck();
      const { client, server } = await trial.pair({
        client: { keep: false, receiveData: (_, data) => check.take(data) },
      });
      client.pause();
      server.sendData(pattern(size));
      const detached = server.detach();
      await trial.settle();
      assert.equal(server.reasons.length, 0);
      client.resume();
      const { fd } = await detached;
      closeSync(fd);
      await trial.allUnbound();
      assert.equal(check.count, size);
      assert.equal(client.kind, "peer-closed");
    },
    refused,
  );

  engine.ruleNeeding(
    "detach",
    "no byte of the input is lost: what was read and not delivered is handed out",
    async (trial) => {
      const { client, server } = await trial.pair({
        server: {
          receiveData: (me) => {
            me.pause();
          },
        },
      });
      for (let count = 0; count < 10; count++) {
        client.sendData(pattern(10_000, count * 10_000));
        await trial.turn();
      }
      await trial.until(() => server.bytes > 0, "the first of it");
      await trial.settle();
      const { fd, unread } = await server.detach();
      const again = trial.reactor.attach({ fd }, Recorder, trial, { name: "attached" });
      await trial.until(() => server.bytes + unread.length + again.bytes === 100_000, "all of it");
      sameBytes(Buffer.concat([server.received, unread, again.received]), pattern(100_000));
    },
    refused,
  );

  engine.ruleNeeding(
    "detach",
    "when the connection ends first the promise rejects",
    async (trial) => {
      const { client, server } = await trial.pair();
      client.pause();
      server.sendData(pattern(16_000_000));
      const detached = server.detach();
      client.abort();
      await assert.rejects(detached, { name: "StateError", code: "ERR_EM_CLOSED" });
      await trial.allUnbound();
      assert.equal(server.kind, "peer-reset");
    },
    refused,
  );

  engine.rule("on a connection that is not open it is a typed error", async (trial) => {
    const notOpen = { name: "StateError", code: "ERR_EM_NOT_OPEN" };
    const served = await trial.serve();
    const client = trial.dial(served);
    await assert.rejects(client.detach(), notOpen);
    await client.opened;
    client.closeConnection();
    await assert.rejects(client.detach(), notOpen);
    await trial.allUnbound();
    await assert.rejects(client.detach(), notOpen);
  });

  engine.ruleNeeding(
    "adoptStream",
    "a descriptor that is no connected socket ends as a connect that failed",
    async (trial) => {
      const client = trial.reactor.attach({ fd: 999_999 }, Recorder, trial);
      await trial.allUnbound();
      assert.deepEqual(client.log, ["postInit", "unbind connect-failed"]);
      await assert.rejects(client.opened, { name: "ConnectError" });
    },
    (trial) => trial.reactor.attach({ fd: 999_999 }, Connection),
  );

  const owned = { name: "StateError", code: "ERR_EM_DESCRIPTOR_OWNED" };

  engine.ruleNeeding(
    "adoptStream",
    "attach refuses a descriptor that a reactor owns, by a code of its own, and the owner goes on",
    async (trial) => {
      const before = sockets();
      const { client, server } = await trial.pair();
      const fds = [...sockets()].filter((fd) => !before.has(fd));
      assert.equal(fds.length, 3, "a listener and both ends");
      for (const fd of fds) {
        const again = trial.reactor.attach({ fd }, Recorder, trial, { name: "attached" });
        await assert.rejects(again.opened, (error: ConnectError) => {
          assert.equal(error.code, "ERR_EM_DESCRIPTOR_OWNED");
          assert.match(error.message, new RegExp(`descriptor ${fd} .*detach`));
          assert.deepEqual(
            error.errors.map(({ name, code }) => ({ name, code })),
            [owned],
          );
          return true;
        });
        assert.deepEqual(again.log, ["postInit", "unbind connect-failed"]);
      }
      client.sendData("still here");
      await trial.until(() => server.text === "still here", "the owner goes on");
    },
    (trial) => trial.reactor.attach({ fd: 999_999 }, Connection),
  );

  engine.ruleNeeding(
    "adoptListener",
    "attachServer refuses a descriptor that a reactor owns, by a code of its own",
    async (trial) => {
      const before = sockets();
      const { served } = await trial.pair();
      const fds = [...sockets()].filter((fd) => !before.has(fd));
      for (const fd of fds) {
        await assert.rejects(trial.reactor.attachServer({ fd }, Connection), owned);
      }
      await trial.dial(served, { name: "another" }).opened;
    },
    (trial) => trial.reactor.attachServer({ fd: 999_999 }, Connection),
  );

  engine.ruleNeeding(
    "adoptListener",
    "a descriptor that does not listen is refused by attachServer",
    (trial) =>
      assert.rejects(trial.reactor.attachServer({ fd: 999_999 }, Connection), (error: { code?: string }) => {
        assert.match(error.code ?? "", /^(EBADF|ENOTSOCK|EINVAL)$/);
        return true;
      }),
    (trial) => trial.reactor.attachServer({ fd: 999_999 }, Connection),
  );
});
