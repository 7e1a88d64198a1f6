import assert from "node:assert/strict";
import type { SrvRecord } from "node:dns";
import { test } from "node:test";
import type { BackendOptions } from "../../src/proxy/backend.js";
import { Discovery } from "../../src/proxy/discovery.js";
import type { ProxyHost } from "../../src/proxy/proxy_host.js";

test("the servers of a service are those of its best priority, by their weights", async () => {
  let records: SrvRecord[] | undefined;
  const host = {
    resolver: {
      resolveSrv: async () => {
        if (records === undefined) throw new Error("no server answers");
        return records;
      },
    },
    addTimer: () => ({ unref() {}, cancel() {} }),
  } as unknown as ProxyHost;
  const answers: (readonly BackendOptions[])[] = [];
  const ask = () => new Discovery(host, { service: "_redis._tcp.test" }, (found) => answers.push(found)).start();
  records = [
    { name: "a.test", port: 1, priority: 10, weight: 60 },
    { name: "b.test", port: 2, priority: 10, weight: 0 },
    { name: "c.test", port: 3, priority: 20, weight: 1 },
  ];
  await ask();
  records = [
    { name: "a.test", port: 1, priority: 0, weight: 60_000 },
    { name: "b.test", port: 2, priority: 0, weight: 15_000 },
  ];
  await ask();
  records = [{ name: ".", port: 0, priority: 0, weight: 0 }];
  await ask();
  records = undefined;
  await ask();
  assert.deepEqual(answers, [
    [
      { host: "a.test", port: 1, weight: 60 },
      { host: "b.test", port: 2, weight: 1 },
    ],
    [
      { host: "a.test", port: 1, weight: 256 },
      { host: "b.test", port: 2, weight: 64 },
    ],
    [],
  ]);
});
