import assert from "node:assert/strict";
import { existsSync, readFileSync, statSync } from "node:fs";
import { onEveryEngine } from "../support/harness.js";
import { RawPeer } from "../support/raw_peer.js";

/** The whole room for a name in a socket address. */
const SUN_PATH = 108;

onEveryEngine("Unix sockets and raw peers", (engine) => {
  engine.rule(
    "a raw peer on a socket file: bytes both ways, the mode asked for, the file gone at the close",
    async (trial) => {
      const path = trial.path();
      const served = await trial.serve({ receiveData: (me, data) => me.sendData(data) }, { path, mode: 0o600 });
      assert.equal(statSync(path).mode & 0o777, 0o600);
      await using peer = new RawPeer();
      await peer.connect({ path });
      await peer.send("over a file");
      assert.equal((await peer.receive(11)).text, "over a file");
      await peer.shutdown();
      assert.equal((await peer.receive()).end, "fin");
      await served.listener.close();
      assert.equal(existsSync(path), false);
      await trial.allUnbound(...served.peers);
      assert.equal(served.peers[0]?.kind, "peer-closed");
    },
  );

  engine.rule("a raw peer on an abstract name, both ways round", async (trial) => {
    const name = `\0em-raw-${process.pid}-${engine.name}`;
    // Older libuv fills an abstract name up with NULs, and so must whoever wants to meet it. Portable documents it.
    const served = await trial.serve({ receiveData: (me, data) => me.sendData(data) }, { path: name });
    const isFilled = readFileSync("/proc/net/unix", "latin1").includes(`@${name.slice(1)}@@`);
    assert.ok(!isFilled || engine.name === "portable");
    const theirName = (ours: string) => (isFilled ? ours.padEnd(SUN_PATH, "\0") : ours);
    await using peer = new RawPeer();
    await peer.connect({ path: theirName(name) });
    await peer.send("no file");
    assert.equal((await peer.receive(7)).text, "no file");
    await peer.close();
    await trial.allUnbound(...served.peers);

    await peer.listen({ path: theirName(`${name}-theirs`) });
    const client = trial.dial({ path: `${name}-theirs` }, { connectionCompleted: (me) => me.sendData("hello") });
    await peer.accept();
    assert.equal((await peer.receive(5)).text, "hello");
    await peer.close();
    await trial.allUnbound(client);
    assert.equal(client.kind, "peer-closed");
  });

  engine.ruleNeeding(
    "unixNameBytes",
    "a peer with a name that is not UTF-8 is shown and reached by its bytes",
    async (trial) => {
      const own = (name: string) => Buffer.concat([Buffer.from(trial.path(name)), Buffer.from([0xff])]);
      const served = await trial.serve({}, { path: trial.path() });
      await using peer = new RawPeer();
      const names = [own("from"), Buffer.from(`\0em-${process.pid}-\xff`, "latin1")];
      for (const [at, from] of names.entries()) {
        await peer.connect(served.at, { from });
        const server = await served.peer(at);
        assert.deepEqual(server.remoteAddress, { family: "unix", path: from });
        await peer.close();
        await trial.allUnbound(server);
        assert.deepEqual(server.remoteAddress, { family: "unix", path: from });
      }
      await peer.listen({ path: own("theirs") });
      const client = trial.dial({ path: own("theirs") }, { connectionCompleted: (me) => me.sendData("hello") });
      await peer.accept();
      assert.equal((await peer.receive(5)).text, "hello");
      await peer.close();
      await trial.allUnbound(client);
    },
    (trial) => trial.dial({ path: Buffer.from([0xff]) }),
  );

  engine.rule("a peer that closes with our bytes unread resets, on a Unix socket too", async (trial) => {
    const path = trial.path();
    const served = await trial.serve({ postInit: (me) => me.sendData("unread") }, { path });
    await using peer = new RawPeer();
    await peer.connect({ path });
    const server = await served.peer();
    await trial.until(() => server.bytesOut === 6, "the bytes are out");
    await peer.close();
    await trial.allUnbound(server);
    assert.ok(server.reason?.kind === "peer-reset" && server.reason.error.code === "ECONNRESET");
  });

  engine.ruleNeeding(
    "peerCredentials",
    "the credentials are those of the process at the other end",
    async (trial) => {
      const path = trial.path();
      const served = await trial.serve({}, { path });
      await using peer = new RawPeer();
      await peer.connect({ path });
      const server = await served.peer();
      const { pid, uid, gid } = server.peerCredentials();
      assert.deepEqual({ pid, uid, gid }, { pid: peer.child.pid, uid: process.getuid?.(), gid: process.getgid?.() });
      server.closeConnection();
      await trial.allUnbound(server);
    },
    async (trial) => {
      const { client } = await trial.over("unix").pair();
      trial.reactor.nextTick(() => client.closeConnection());
      client.peerCredentials();
    },
  );
});
