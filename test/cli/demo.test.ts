import assert from "node:assert/strict";
import { test } from "node:test";
import { demo, eventmachine, Peer } from "./command.js";

test("the demo tells how to try each server, and at Ctrl-C how many it served", async () => {
  await using program = demo("127.0.0.1:0", "127.0.0.1:0");
  const chatAddress = await program.address("chat");
  const echoAddress = await program.address("echo");
  const lines = program.stdout.trimEnd().split("\n");
  assert.deepEqual(lines, [
    `echo on 127.0.0.1:${echoAddress.port}, try: nc 127.0.0.1 ${echoAddress.port}`,
    `chat on 127.0.0.1:${chatAddress.port}, try: nc 127.0.0.1 ${chatAddress.port}`,
  ]);
  await using echo = new Peer(echoAddress);
  echo.send("anybody there?");
  await echo.gets(/^anybody there\?$/);
  await using guest = new Peer(chatAddress);
  await guest.gets(/^\* you are guest1/);
  await using other = new Peer(chatAddress);
  await guest.gets(/guest2 came in/);
  program.signal("SIGINT");
  await Promise.all([echo.end(), guest.end(), other.end()]);
  assert.equal(await program.exit(), 0, program.said());
  assert.match(program.stdout, /\nserved 3 connections\n$/);
});

test("a demo that finds its port taken says so in one line", async () => {
  await using program = eventmachine(["echo", "--listen", "127.0.0.1:0"]);
  const { port } = await program.address();
  await using second = demo(`127.0.0.1:${port}`, "127.0.0.1:0");
  assert.equal(await second.exit(), 1);
  assert.match(second.stderr, /^demo: \w+ EADDRINUSE 127\.0\.0\.1:\d+: address already in use\n$/);
  assert.equal(second.stdout, "");
});
