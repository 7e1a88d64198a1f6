import assert from "node:assert/strict";
import { test } from "node:test";
import { eventmachine, Peer, Program } from "./command.js";

test("two nc sessions talk to each other", async () => {
  await using server = eventmachine(["chat", "--listen", "127.0.0.1:0"]);
  const { host, port } = await server.address();
  await using ann = new Program("nc", [host, String(port)]);
  await ann.output(/^\* you are guest1, with nobody\n/);
  await using bob = new Program("nc", [host, String(port)]);
  await bob.output(/^\* you are guest2, with guest1\n/);
  await ann.output(/^\* guest2 came in\n/m);

  ann.type("/name Ann\nhello all\n");
  await bob.output(/^\* guest1 is now Ann\nAnn: hello all\n/m);
  bob.type("hello Ann\n");
  await ann.output(/^guest2: hello Ann\n/m);
  assert.doesNotMatch(ann.stdout, /hello all/, "what one says does not come back");

  bob.type("/quit\n");
  await ann.output(/^\* guest2 left\n/m);
  server.signal("SIGTERM");
  await ann.output(/^\* the chat is closing\n/m);
  ann.signal("SIGTERM");
  assert.equal(await server.exit(), 0, server.said());
});

test("names: /who, a taken one, one too long, none", async () => {
  await using server = eventmachine(["chat", "--listen", "127.0.0.1:0", "--engine", "portable"]);
  const address = await server.address();
  await using ann = new Peer(address);
  await ann.gets(/^\* you are guest1/);
  await using bob = new Peer(address);
  await bob.gets(/^\* you are guest2/);
  bob.send("/who\n");
  await bob.gets(/^\* guest1, guest2$/m);
  bob.send("/name guest1\n");
  await bob.gets(/^\* guest1 is here already$/m);
  bob.send(`/name ${"b".repeat(21)}\n`);
  await bob.gets(/^\* a name has 1 to 20 characters$/m);
  bob.send("/name\r\n");
  await bob.gets(/a name has(?:.|\n)*a name has/);
  assert.doesNotMatch(ann.received, /is now/);
});

test("control characters do not reach the others' terminals", async () => {
  await using server = eventmachine(["chat", "--listen", "127.0.0.1:0"]);
  const address = await server.address();
  await using ann = new Peer(address);
  await ann.gets(/^\* you are guest1/);
  await using bob = new Peer(address);
  await bob.gets(/^\* you are guest2/);
  ann.send("\x1b[2Jgone\x07\r\n");
  await bob.gets(/^guest1: \[2Jgone\n/m);
});

test("SIGINT says goodbye, drains and exits 0", async () => {
  await using server = eventmachine(["chat", "--listen", "127.0.0.1:0"]);
  await using guest = new Peer(await server.address());
  await guest.gets(/^\* you are guest1/);
  server.signal("SIGINT");
  await guest.gets(/^\* the chat is closing\n/m);
  await guest.end();
  assert.equal(await server.exit(), 0, server.said());
  assert.equal(server.stderr, "");
});
