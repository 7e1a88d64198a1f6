import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { Child } from "../support/child.js";
import { onEveryEngine } from "../support/harness.js";
import { Echo } from "../support/servers.js";

/** An abstract name as the kernel has it, NULs shown as @. */
function kernelName(name: string): string {
  const line = readFileSync("/proc/net/unix", "latin1")
    .split("\n")
    .find((each) => each.includes(`@${name}`));
  return line?.split(" ").at(-1) ?? "";
}

function nc(...args: string[]): Child {
  return new Child("nc", args);
}

onEveryEngine("nc", (engine) => {
  engine.rule("a line typed into nc comes back", async (trial) => {
    const { port } = await trial.reactor.startServer({ host: "127.0.0.1", port: 0 }, Echo);
    await using peer = nc("127.0.0.1", String(port));
    peer.say("one");
    assert.equal(await peer.line(), "one");
    peer.say("two");
    assert.equal(await peer.line(), "two");
  });

  engine.rule("nc -N sends its FIN with the input and still gets the whole answer", async (trial) => {
    const served = await trial.serve({ receiveData: (me, data) => me.sendData(data) });
    await using peer = nc("-N", "127.0.0.1", String(served.listener.port));
    const lines = Array.from({ length: 20_000 }, (_, at) => `line ${at}`);
    peer.feed(`${lines.join("\n")}\n`, true);
    assert.deepEqual(await peer.rest(), lines);
    assert.deepEqual(await peer.ended(), { code: 0, signal: null });
    const server = await served.peer();
    await trial.allUnbound(server);
    assert.equal(server.kind, "peer-closed");
  });

  engine.rule("a client of ours talks to nc -l, and sees it go", async (trial) => {
    const port = await trial.deadPort();
    await using peer = nc("-l", "-v", "-n", "127.0.0.1", String(port));
    await trial.until(() => peer.stderr.includes("Listening"), "nc listens");
    const client = trial.dial({ host: "127.0.0.1", port }, { connectionCompleted: (me) => me.sendData("hello\n") });
    assert.equal(await peer.line(), "hello");
    peer.feed("good bye\n");
    await trial.until(() => client.text === "good bye\n", "nc's answer");
    peer.kill("SIGTERM");
    await trial.allUnbound(client);
    assert.equal(client.kind, "peer-closed");
  });

  engine.rule("closing after writing gives nc every byte and then the end", async (trial) => {
    const lines = Array.from({ length: 50_000 }, (_, at) => `answer ${at}`);
    const served = await trial.serve({
      postInit: (me) => {
        me.sendData(`${lines.join("\n")}\n`);
        me.closeConnectionAfterWriting();
      },
    });
    await using peer = nc("-d", "127.0.0.1", String(served.listener.port));
    assert.deepEqual(await peer.rest(), lines);
    const server = await served.peer();
    await trial.allUnbound(server);
    assert.deepEqual(server.reason, { kind: "local-close", lingerExpired: false });
  });

  engine.rule("nc -U over a socket file", async (trial) => {
    const path = trial.path();
    await trial.reactor.startServer({ path }, Echo);
    await using peer = nc("-U", "-N", path);
    peer.feed("by file\n", true);
    assert.deepEqual(await peer.rest(), ["by file"]);
  });

  engine.rule("nc -U over an abstract name", async (trial) => {
    const name = `em-test-${process.pid}-${engine.name}`;
    await trial.reactor.startServer({ path: `\0${name}` }, Echo);
    await using peer = nc("-U", "-N", `@${name}`);
    if (kernelName(name) === `@${name}`) {
      peer.feed("by name\n", true);
      assert.deepEqual(await peer.rest(), ["by name"]);
    } else {
      // Older libuv fills an abstract name up with NULs: only peers that do the same find it. Portable documents it.
      assert.equal(engine.name, "portable");
      assert.match(kernelName(name), /^@em-test-\d+-portable@+$/);
      assert.deepEqual(await peer.ended(), { code: 1, signal: null });
    }
  });

  engine.rule("a client of ours talks to nc -lU", async (trial) => {
    const path = trial.path();
    await using peer = nc("-l", "-v", "-U", path);
    await trial.until(() => peer.stderr.includes("Listening"), "nc listens");
    const client = trial.dial({ path }, { connectionCompleted: (me) => me.sendData("hello\n") });
    assert.equal(await peer.line(), "hello");
    client.closeConnection();
    await trial.allUnbound(client);
    assert.deepEqual(await peer.ended(), { code: 0, signal: null });
  });

  engine.rule("nc -z, which only knocks, is a connection that came and went", async (trial) => {
    const served = await trial.serve();
    await using peer = nc("-z", "127.0.0.1", String(served.listener.port));
    assert.deepEqual(await peer.ended(), { code: 0, signal: null });
    const server = await served.peer();
    await trial.allUnbound(server);
    assert.deepEqual(server.order, ["postInit", "unbind peer-closed"]);
  });
});
