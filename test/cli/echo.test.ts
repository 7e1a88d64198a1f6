import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ENGINES, eventmachine, Peer } from "./command.js";

for (const engine of ENGINES) {
  const options = ["--engine", engine];

  for (const flags of [[], ["--borrow"], ["--lines"]]) {
    test(`${engine}: echo ${flags.join(" ")} sends back what comes in`, async () => {
      await using program = eventmachine(["echo", "--listen", "127.0.0.1:0", ...options, ...flags]);
      const address = await program.address();
      assert.match(program.stdout, /^listening on 127\.0\.0\.1:[1-9]\d*\n$/);
      await using one = new Peer(address);
      await using two = new Peer(address);
      one.send("first\nsecond\n");
      two.send("other\n");
      await one.gets(/^first\nsecond\n$/);
      await two.gets(/^other\n$/);
      one.send("ünï\n");
      await one.gets(/^first\nsecond\nünï\n$/);
    });

    test(`${engine}: echo ${flags.join(" ")} loses nothing of a large input`, async () => {
      await using program = eventmachine(["echo", "--listen", "127.0.0.1:0", ...options, ...flags]);
      await using peer = new Peer(await program.address());
      const text = Array.from({ length: 200_000 }, (_, line) => `line ${line}\n`).join("");
      peer.send(text);
      await peer.gets(/line 199999\n$/);
      assert.equal(peer.received, text);
    });
  }

  test(`${engine}: --lines keeps an unfinished line until its newline`, async () => {
    await using program = eventmachine(["echo", "--listen", "127.0.0.1:0", "--lines", ...options]);
    await using peer = new Peer(await program.address());
    peer.send("whole\nunfin");
    await peer.gets(/^whole\n$/);
    peer.send("ished\n");
    await peer.gets(/^whole\nunfinished\n$/);
  });

  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    test(`${engine}: ${signal} drains and exits 0`, async () => {
      await using program = eventmachine(["echo", "--listen", "127.0.0.1:0", ...options]);
      const address = await program.address();
      await using peer = new Peer(address);
      peer.send("before");
      await peer.gets(/^before$/);
      program.signal(signal);
      await peer.end();
      assert.equal(peer.received, "before");
      assert.equal(await program.exit(), 0, program.said());
      assert.equal(program.stderr, "");
    });
  }

  test(`${engine}: a port in use is one line and exit code 1`, async () => {
    await using first = eventmachine(["echo", "--listen", "127.0.0.1:0", ...options]);
    const { port } = await first.address();
    await using second = eventmachine(["echo", "--listen", `127.0.0.1:${port}`, ...options]);
    assert.equal(await second.exit(), 1);
    assert.equal(second.stdout, "");
    // Which call finds out is the engine's affair: bind or listen.
    assert.match(second.stderr, /^eventmachine: \w+ EADDRINUSE 127\.0\.0\.1:\d+: address already in use\n$/);
    assert.ok(second.stderr.includes(`:${port}:`), second.stderr);
  });

  test(`${engine}: a name that does not exist is one line and exit code 1`, async () => {
    await using program = eventmachine(["echo", "--listen", "no-such-host.invalid:0", ...options]);
    assert.equal(await program.exit(), 1);
    assert.match(program.stderr, /^eventmachine: [^\n]*no-such-host\.invalid[^\n]*\n$/);
  });

  test(`${engine}: an IPv6 address`, async () => {
    await using program = eventmachine(["echo", "--listen", "[::1]:0", ...options]);
    await using peer = new Peer(await program.address());
    assert.match(program.stdout, /^listening on \[::1\]:[1-9]\d*\n$/);
    peer.send("six");
    await peer.gets(/^six$/);
  });

  test(`${engine}: :0 takes both families`, async () => {
    await using program = eventmachine(["echo", "--listen", ":0", ...options]);
    const { port } = await program.address();
    for (const host of ["127.0.0.1", "::1"]) {
      await using peer = new Peer({ host, port });
      peer.send(host);
      await peer.gets(/1$/);
      assert.equal(peer.received, host);
    }
  });

  test(`${engine}: a Unix socket, whose file goes with the server`, async () => {
    const folder = mkdtempSync(join(tmpdir(), "em-cli-"));
    try {
      const path = join(folder, "echo.sock");
      await using program = eventmachine(["echo", "--listen", `unix:${path}`, ...options]);
      await program.output(/^listening on /);
      assert.equal(program.stdout, `listening on unix:${path}\n`);
      await using peer = new Peer({ path });
      peer.send("unix");
      await peer.gets(/^unix$/);
      program.signal("SIGTERM");
      await peer.end();
      assert.equal(await program.exit(), 0);
      assert.equal(existsSync(path), false);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
}

test("--engine native where it cannot be had is one line and exit code 1", async () => {
  const env = { EVENTMACHINE_ADDON: "/nonexistent/eventmachine.node" };
  await using program = eventmachine(["echo", "--listen", "127.0.0.1:0", "--engine", "native"], env);
  assert.equal(await program.exit(), 1);
  assert.equal(program.stdout, "");
  assert.match(program.stderr, /^eventmachine: the native engine cannot be used: [^\n]+\n$/);
});

test("without --engine the portable engine steps in, and says so once", async () => {
  const env = { EVENTMACHINE_ADDON: "/nonexistent/eventmachine.node", EVENTMACHINE_ENGINE: "" };
  await using program = eventmachine(["echo", "--listen", "127.0.0.1:0"], env);
  await using peer = new Peer(await program.address());
  peer.send("still here");
  await peer.gets(/^still here$/);
  program.signal("SIGTERM");
  assert.equal(await program.exit(), 0);
  assert.equal(program.stderr.match(/running on the portable engine/g)?.length, 1, program.said());
});
