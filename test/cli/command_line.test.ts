import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { demo, eventmachine } from "./command.js";

const WRONG: readonly (readonly [args: readonly string[], complaint: RegExp])[] = [
  [[], /a command is needed/],
  [["serve"], /unknown command "serve"/],
  [["--listen", ":0"], /unknown command "--listen"/],
  [["info", "--yaml"], /Unknown option '--yaml'/],
  [["info", "now"], /Unexpected argument 'now'/],
  [["info", "--json=yes"], /'--json' does not take an argument/],
  [["echo"], /--listen ADDR is needed/],
  [["echo", "--listen"], /'--listen <value>' argument missing/],
  [["echo", "--listen", "--lines"], /'--listen' argument is ambiguous/],
  [["echo", "--listen", "127.0.0.1"], /--listen: address "127.0.0.1" must be host:port/],
  [["echo", "--listen", "127.0.0.1:65536"], /"127.0.0.1:65536" must be host:port/],
  [["echo", "--listen", "[::g]:80"], /has no IPv6 address in its brackets/],
  [["echo", "--listen", "unix:"], /lacks the path/],
  [["echo", "--listen", `unix:/tmp/${"x".repeat(120)}`], /path must fit a socket address: at most 107 bytes/],
  [["echo", "--listen", ":0", "--engine", "auto"], /--engine must be native or portable, not "auto"/],
  [["echo", "--listen", ":0", "--lines", "--borrow"], /exclude each other/],
  [["echo", "--listen", ":0", "extra"], /Unexpected argument 'extra'/],
  [["chat"], /--listen ADDR is needed/],
  [["chat", "--listen", ":0", "--lines"], /Unknown option '--lines'/],
];

for (const [args, complaint] of WRONG) {
  test(`wrong arguments: eventmachine ${args.join(" ")}`, async () => {
    await using program = eventmachine(args);
    assert.equal(await program.exit(), 2, program.said());
    assert.equal(program.stdout, "");
    assert.match(program.stderr, /^eventmachine: [^\n]+\n$/, "one line");
    assert.match(program.stderr, complaint);
  });
}

test("wrong arguments of the demo", async () => {
  await using many = demo("127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0");
  assert.equal(await many.exit(), 2);
  assert.match(many.stderr, /^demo: at most two addresses[^\n]*\n$/);
  await using wrong = demo("7000");
  assert.equal(await wrong.exit(), 2);
  assert.match(wrong.stderr, /^demo: [^\n]*must be host:port[^\n]*\n$/);
});

test("an engine named in the environment that does not exist", async () => {
  await using program = eventmachine(["info"], { EVENTMACHINE_ENGINE: "steam" });
  assert.equal(await program.exit(), 2);
  assert.match(program.stderr, /^eventmachine: engine must be "auto", "native" or "portable", not "steam"\n$/);
});

test("--version prints the package's version", async () => {
  const { version } = JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8"));
  await using program = eventmachine(["--version"]);
  assert.equal(await program.exit(), 0);
  assert.equal(program.stdout, `${version}\n`);
});

for (const args of [["--help"], ["echo", "--help"], ["chat", "--listen", ":0", "--help"]]) {
  test(`${args.join(" ")} names every command`, async () => {
    await using program = eventmachine(args);
    assert.equal(await program.exit(), 0);
    for (const command of ["info", "echo", "chat"]) assert.match(program.stdout, new RegExp(`^  ${command} `, "m"));
    assert.equal(program.stderr, "");
  });
}
