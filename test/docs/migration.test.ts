import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import * as eventmachine from "eventmachine";
import { ROOT, readDocument, tableUnder } from "./markdown.js";

const document = readDocument("docs/migration.md");
const TABLES = [
  "Lifecycle",
  "Timers and ticks",
  "Servers and clients",
  "Callbacks",
  "Methods",
  "Options of start_tls",
  "Classes and protocols",
];

/** Names a program can write: what is exported, what exported classes have, and what options are called. */
function knownNames(): Set<string> {
  const names = new Set(Object.keys(eventmachine));
  const { Connection, DatagramSocket, LineText2, PeriodicTimer, Reactor, Timer, WatchedDescriptor } = eventmachine;
  const { Channel, Completion, Deferred, Iterator, Pool, Queue, SpawnedProcess } = eventmachine;
  const toolbox = [Channel, Completion, Deferred, Iterator, Pool, Queue, SpawnedProcess];
  for (const made of [
    Connection,
    DatagramSocket,
    LineText2,
    PeriodicTimer,
    Reactor,
    Timer,
    WatchedDescriptor,
    ...toolbox,
  ]) {
    for (const name of Object.getOwnPropertyNames(made)) names.add(name);
    for (const name of Object.getOwnPropertyNames(made.prototype)) names.add(name);
  }
  for (const file of [
    "options/options",
    "options/datagram_options",
    "reactor/lifecycle",
    "reactor/reactor_options",
    "tls/tls_start",
    "tls/tls_options",
    "tls/tls_context",
    "tls/tls_info",
    "tls/identity",
    "protocols/line_codec",
    "toolbox/completion",
    "toolbox/buffered_tokenizer",
  ]) {
    const source = readFileSync(`${ROOT}src/${file}.ts`, "utf8");
    for (const [, name] of source.matchAll(/^ {2}(?:readonly )?(\w+)\??: /gm)) names.add(name as string);
  }
  for (const name of ["host", "port", "path", "httpChunks", "close"]) names.add(name);
  return names;
}

test("the first thing said is the unit of time", () => {
  const [, , first] = document.split("\n");
  assert.match(first ?? "", /^\*\*Durations are milliseconds/);
});

test("every name the tables give for one of EventMachine's exists", () => {
  const known = knownNames();
  for (const [original = "", ours = ""] of TABLES.flatMap((heading) => tableUnder(document, heading))) {
    if (/^(none|not in this version)/.test(ours)) continue;
    if (original === "`initialize`") continue;
    const names = [...ours.matchAll(/`(?:Reactor\.|Connection\.)?(\w+)`/g)].map(([, name]) => name as string);
    for (const name of names) {
      const isOriginal = original.includes(`\`${name}\``) || /^[A-Z]|_|:$/.test(name);
      assert.ok(known.has(name) || isOriginal, `${original} is said to be ${name}`);
    }
    assert.ok(names.length > 0 || ours.includes("`"), `${original} has no name here`);
  }
});

test("every callback and method of a Connection is in the tables", () => {
  const internal = new Set(["constructor"]);
  const text = [...tableUnder(document, "Callbacks"), ...tableUnder(document, "Methods")].join("\n");
  const guide = readDocument("docs/guide.md");
  for (const name of Object.getOwnPropertyNames(eventmachine.Connection.prototype)) {
    if (internal.has(name)) continue;
    assert.ok(text.includes(name) || guide.includes(name), `${name} is in neither the tables nor the guide`);
  }
});

test("the names that cannot be assigned are the getters of Connection without a setter", () => {
  const line = /^- Assigning to a getter without a setter \(([^)]*)\)/m.exec(document)?.[1] ?? "";
  const named = [...line.matchAll(/`(\w+)`/g)].map(([, name]) => name as string);
  const members = Object.entries(Object.getOwnPropertyDescriptors(eventmachine.Connection.prototype));
  const getters = members.filter(([, { get, set }]) => get !== undefined && set === undefined).map(([name]) => name);
  assert.deepEqual(named.sort(), getters.sort());
});
