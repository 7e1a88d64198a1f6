import assert from "node:assert/strict";
import { type CloseReason, ConnectError, SystemError } from "eventmachine";
import { onEveryEngine } from "../support/harness.js";
import type { Recorder } from "../support/recorder.js";

type Failed = Extract<CloseReason, { error: ConnectError }>;

/** The error of a connect that ended as it should have. */
function failure(client: Recorder, kind: Failed["kind"]): ConnectError {
  assert.equal(client.kind, kind);
  const { error } = client.reason as Failed;
  assert.ok(error instanceof ConnectError);
  return error;
}

const found =
  (...addresses: string[]) =>
  () =>
    Promise.resolve(addresses);
const never = () => new Promise<never>(() => {});

onEveryEngine("connect", (engine) => {
  engine.rule("refused: each attempt's error comes with the reason", async (trial) => {
    const port = await trial.deadPort();
    const client = trial.dial({ host: "127.0.0.1", port });
    await trial.allUnbound();
    const error = failure(client, "connect-refused");
    assert.equal(error.code, "ECONNREFUSED");
    assert.equal(error.errors.length, 1);
    const [attempt] = error.errors;
    assert.ok(attempt instanceof SystemError);
    assert.deepEqual(
      [attempt.code, attempt.syscall, attempt.address, attempt.port],
      ["ECONNREFUSED", "connect", "127.0.0.1", port],
    );
    assert.match(error.message, new RegExp(`127\\.0\\.0\\.1:${port}`));
  });

  engine.rule("a Unix path that is not there is refused", async (trial) => {
    const path = trial.path();
    const client = trial.dial({ path });
    await trial.allUnbound();
    const error = failure(client, "connect-refused");
    assert.equal(error.code, "ENOENT");
    assert.equal(error.errors[0]?.address, path);
  });

  engine.rule("timed out: the connect timeout covers a peer that never answers", async (trial) => {
    const port = await trial.silentPort();
    const begun = trial.now();
    const client = trial.dial({ host: "127.0.0.1", port }, {}, { connectTimeout: 80 });
    assert.equal(client.pendingConnectTimeout, 80);
    await trial.sleep(100);
    assert.notEqual(client.state, "connecting", "at the latest 20 ms after its time");
    await trial.allUnbound(client);
    const error = failure(client, "connect-timeout");
    assert.equal(error.code, "ERR_EM_CONNECT_TIMEOUT");
    assert.ok(client.unboundAt - begun >= 80, "never early");
  });

  engine.rule("timed out: the connect timeout covers name resolution too", async (trial) => {
    trial.names.set("never.test", never);
    const client = trial.dial({ host: "never.test", port: 1 }, {}, { connectTimeout: 50 });
    await trial.allUnbound();
    failure(client, "connect-timeout");
  });

  engine.rule("pendingConnectTimeout can be set while the connect is under way", async (trial) => {
    const port = await trial.silentPort();
    const begun = trial.now();
    const client = trial.dial({ host: "127.0.0.1", port });
    assert.equal(client.pendingConnectTimeout, 20_000);
    client.pendingConnectTimeout = 60;
    assert.equal(client.pendingConnectTimeout, 60);
    await trial.allUnbound(client);
    failure(client, "connect-timeout");
    const took = client.unboundAt - begun;
    assert.ok(took >= 60 && took < 10_000, `took ${took} ms`);
  });

  engine.rule("pendingConnectTimeout 0 is no limit", async (trial) => {
    const port = await trial.silentPort();
    const client = trial.dial({ host: "127.0.0.1", port }, {}, { connectTimeout: 30 });
    client.pendingConnectTimeout = 0;
    await trial.settle(80);
    assert.equal(client.state, "connecting");
    client.closeConnection();
    await trial.allUnbound(client);
  });

  engine.rule("a connect timeout does not end a connection that is open", async (trial) => {
    const { client } = await trial.pair({ connect: { connectTimeout: 500 } });
    await trial.settle(600);
    assert.equal(client.state, "open");
  });

  engine.rule("nor one that was made while the loop was held up", async (trial) => {
    const served = await trial.serve();
    await trial.sleep(1);
    const client = trial.dial(served, {}, { connectTimeout: 50 });
    trial.block(80);
    await client.opened;
  });

  engine.rule("unreachable is told from refused", async (trial) => {
    const client = trial.dial({ host: "255.255.255.255", port: 1 });
    await trial.allUnbound();
    assert.match(client.kind ?? "", /^connect-(unreachable|failed)$/);
    const error = (client.reason as Failed).error;
    assert.match(error.code, /^(ENETUNREACH|EHOSTUNREACH|EACCES)$/);
    assert.equal(client.kind === "connect-unreachable", /UNREACH/.test(error.code));
  });

  engine.runRule("a name that is not there is asked of the system's resolver", async (trial) => {
    const reactor = trial.makeReactor();
    await reactor.run(async () => {
      const client = reactor.connect({ host: "no-such-host.invalid", port: 1 });
      const reason = await client.closed;
      assert.equal(reason.kind, "name-not-found");
      const { error } = reason as Failed;
      assert.match(error.code, /^(ENOTFOUND|EAI_AGAIN|EAI_FAIL)$/);
      assert.equal(error.errors[0]?.syscall, "getaddrinfo");
      assert.equal(error.errors[0]?.address, "no-such-host.invalid");
      reactor.stop();
    });
  });

  engine.rule("what a resolver finds wrong is a reason", async (trial) => {
    trial.names.set("empty.test", found());
    trial.names.set("broken.test", () => Promise.reject(new Error("the resolver broke")));
    trial.names.set("throws.test", () => {
      throw new Error("at once");
    });
    for (const host of ["unknown.test", "empty.test", "broken.test", "throws.test"]) {
      const client = trial.dial({ host, port: 1 });
      await trial.allUnbound(client);
      assert.match(failure(client, "name-not-found").message, new RegExp(host));
    }
  });

  engine.rule("literal addresses are not asked of the resolver", async (trial) => {
    const port = await trial.deadPort();
    for (const host of ["127.0.0.1", "::1", "[::1]"]) {
      trial.names.set(host, () => Promise.reject(new Error("asked")));
      const client = trial.dial({ host, port });
      await trial.allUnbound(client);
      failure(client, "connect-refused");
    }
  });

  engine.rule("every address that failed is named, in the order they failed", async (trial) => {
    trial.names.set("both.test", found("::1", "127.0.0.1"));
    const client = trial.dial({ host: "both.test", port: await trial.deadPort() });
    await trial.allUnbound();
    const error = failure(client, "connect-refused");
    assert.deepEqual(
      error.errors.map(({ address }) => address),
      ["::1", "127.0.0.1"],
    );
    assert.match(error.message, /both\.test/);
  });

  engine.rule("what is no address ends the connect, not the reactor", async (trial) => {
    trial.names.set("odd.test", found("127.0.0.1", "not an address"));
    trial.names.set("none.test", () => Promise.resolve(undefined as unknown as string[]));
    for (const host of ["odd.test", "none.test"]) {
      const client = trial.dial({ host, port: 9 });
      await trial.allUnbound(client);
      assert.equal(failure(client, "name-not-found").code, "ERR_EM_INVALID_ARGUMENT");
    }
  });

  engine.rule("the next address is tried at once when one is refused", async (trial) => {
    trial.names.set("both.test", found("::1", "127.0.0.1"));
    const served = await trial.serve();
    const begun = trial.now();
    const at = { host: "both.test", port: served.listener.port as number };
    const client = trial.dial(at, {}, { connectionAttemptDelay: 15_000 });
    await client.opened;
    assert.ok(trial.now() - begun < 15_000, "no attempt delay was waited for");
    assert.deepEqual(client.remoteAddress, { family: "IPv4", host: "127.0.0.1", port: at.port });
  });

  engine.rule("the families are tried in turn", async (trial) => {
    trial.names.set("many.test", found("127.0.0.1", "127.0.0.2", "::1"));
    const client = trial.dial({ host: "many.test", port: await trial.deadPort() });
    await trial.allUnbound();
    assert.deepEqual(
      failure(client, "connect-refused").errors.map(({ address }) => address),
      ["127.0.0.1", "::1", "127.0.0.2"],
    );
  });

  engine.rule("localhost reaches a server of one family only, whichever it is", async (trial) => {
    for (const host of ["127.0.0.1", "::1"]) {
      const served = await trial.serve({}, { host, port: 0 });
      const client = trial.dial({ host: "localhost", port: served.listener.port as number });
      await client.opened;
      assert.equal((client.remoteAddress as { host: string }).host, host);
    }
  });

  engine.rule("the attempt delay passes before the next address is tried beside a silent one", async (trial) => {
    const port = await trial.silentPort();
    await trial.serve({}, { host: "::1", port });
    trial.names.set("mixed.test", found("127.0.0.1", "::1"));
    const begun = trial.now();
    const client = trial.dial({ host: "mixed.test", port }, {}, { connectionAttemptDelay: 120 });
    await client.opened;
    const took = trial.now() - begun;
    assert.ok(took >= 120, `the second address was tried after ${took} ms`);
    assert.deepEqual(client.remoteAddress, { family: "IPv6", host: "::1", port });
  });

  engine.rule("of several addresses one connection is made, what loses the race is closed", async (trial) => {
    const served = await trial.serve();
    trial.names.set("many.test", found("127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.1"));
    const at = { host: "many.test", port: served.listener.port as number };
    const client = trial.dial(at, {}, { connectionAttemptDelay: 0 });
    await client.opened;
    await trial.settle();
    await trial.until(() => served.listener.connectionCount === 1, "one is left");
    client.sendData("to the winner");
    await trial.until(() => served.peers.some(({ bytes }) => bytes === 13), "it arrives");
    assert.equal(client.state, "open");
  });

  engine.rule("an AbortSignal calls the connect off", async (trial) => {
    const port = await trial.silentPort();
    const controller = new AbortController();
    const client = trial.dial({ host: "127.0.0.1", port }, {}, { signal: controller.signal });
    await trial.settle();
    assert.equal(client.state, "connecting");
    const why = new Error("changed my mind");
    controller.abort(why);
    assert.equal(client.reasons.length, 0, "unbind comes later");
    await trial.allUnbound(client);
    const error = failure(client, "connect-aborted");
    assert.equal(error.code, "ERR_EM_CONNECT_ABORTED");
    assert.equal(error.cause, why);
  });

  engine.rule("a signal that was aborted before ends the connect in a later turn", async (trial) => {
    const served = await trial.serve();
    const client = trial.dial(served, {}, { signal: AbortSignal.abort() });
    assert.deepEqual(client.log, ["postInit"]);
    await trial.allUnbound(client);
    failure(client, "connect-aborted");
    await trial.settle();
    assert.equal(served.peers.length, 0);
  });

  engine.rule("a signal during name resolution is heeded", async (trial) => {
    trial.names.set("slow.test", never);
    const controller = new AbortController();
    const client = trial.dial({ host: "slow.test", port: 1 }, {}, { signal: controller.signal });
    await trial.turn();
    controller.abort();
    await trial.allUnbound();
    failure(client, "connect-aborted");
  });

  engine.rule("a signal has no effect on an open connection", async (trial) => {
    const controller = new AbortController();
    const { client } = await trial.pair({ connect: { signal: controller.signal } });
    controller.abort();
    await trial.settle();
    assert.equal(client.state, "open");
  });

  engine.rule("a close while connecting calls the connect off, whichever close it is", async (trial) => {
    const port = await trial.silentPort();
    for (const close of ["closeConnection", "abort"] as const) {
      const client = trial.dial({ host: "127.0.0.1", port }, { name: close });
      await trial.turn();
      client[close]();
      assert.equal(client.state, "closing");
      await trial.allUnbound(client);
      failure(client, "connect-aborted");
    }
  });

  engine.rule("closeConnectionAfterWriting while connecting sends what is queued, then closes", async (trial) => {
    const served = await trial.serve();
    const client = trial.dial(served);
    client.sendData("parting words");
    client.closeConnectionAfterWriting();
    assert.equal(client.sendData("too late"), false);
    await trial.allUnbound();
    assert.equal(served.peers[0]?.text, "parting words");
    assert.equal(client.kind, "local-close");
  });

  engine.rule("bindConnect: the server sees the address and port that were bound", async (trial) => {
    const served = await trial.serve();
    const port = await trial.deadPort();
    const client = trial.reactor.bindConnect({ host: "127.0.0.3", port }, served.at as { host: string; port: number });
    await client.opened;
    const server = await served.peer();
    assert.deepEqual(server.remoteAddress, { family: "IPv4", host: "127.0.0.3", port });
    assert.deepEqual(client.localAddress, server.remoteAddress);
  });

  engine.rule("bindConnect without a port lets the system choose one", async (trial) => {
    const served = await trial.serve();
    const client = trial.dial(served, {}, { localAddress: { host: "127.0.0.5" } });
    await client.opened;
    const local = client.localAddress as { host: string; port: number };
    assert.equal(local.host, "127.0.0.5");
    assert.ok(local.port > 0);
  });

  engine.rule("bindConnect to an address that is not here is a reason", async (trial) => {
    const served = await trial.serve();
    const client = trial.dial(served, {}, { localAddress: { host: "198.51.100.7" } });
    await trial.allUnbound(client);
    assert.equal(failure(client, "connect-failed").code, "EADDRNOTAVAIL");
  });

  engine.rule("a connect later in the same turn as startServer succeeds without awaiting it", async (trial) => {
    const port = await trial.deadPort();
    const at = { host: "127.0.0.1", port };
    const listening = trial.serve({}, at);
    const client = trial.dial(at);
    await client.opened;
    await (await listening).peer();
  });

  engine.rule("hundreds of connects at once are all made", async (trial) => {
    const served = await trial.serve({ receiveData: (me, data) => me.sendData(data) });
    const clients = Array.from({ length: 300 }, (_, at) =>
      trial.dial(served, { name: `client ${at}`, postInit: (me) => me.sendData(`hello ${at}`) }),
    );
    await trial.until(() => clients.every((client, at) => client.bytes === `hello ${at}`.length), "every echo");
    for (const [at, client] of clients.entries()) assert.equal(client.text, `hello ${at}`);
    assert.equal(served.listener.acceptedCount, 300);
  });
});
