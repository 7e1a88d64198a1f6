import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { ROOT } from "../docs/markdown.js";
import { onEveryEngine } from "../support/harness.js";
import { responses, serveHttp } from "../support/http.js";

interface Row {
  readonly id: string;
  readonly request: string;
  readonly expected: string;
}

const { requests } = JSON.parse(readFileSync(`${ROOT}test/data/http1_requests.json`, "utf8")) as { requests: Row[] };

/** What is answered to those that are answered with something else than a 400 and the end. */
const OTHERS: Readonly<Record<string, number | "waits">> = {
  "COMP-BASELINE": 200,
  "RFC9112-2.3-INVALID-VERSION": 505,
  "COMP-METHOD-CASE": 501,
  "COMP-POST-CL-BODY": 200,
  "COMP-POST-NO-CL-NO-TE": 200,
  "COMP-POST-CL-UNDERSEND": "waits",
  "COMP-CHUNKED-MULTI": 200,
  "COMP-CHUNKED-EMPTY": 200,
  "COMP-CHUNKED-TRAILER-VALID": 200,
  "COMP-CHUNKED-EXTENSION": 200,
  "COMP-HTTP10-NO-HOST": 200,
  "COMP-HTTP10-DEFAULT-CLOSE": 200,
  "SMUG-EXPECT-100-CL": 200,
  "MAL-INCOMPLETE-REQUEST": "waits",
  "COMP-UPGRADE-POST": 200,
  "COMP-UPGRADE-MISSING-CONN": 200,
  "COMP-UPGRADE-INVALID-VER": 426,
  // A method that this server has no use for.
  "COMP-METHOD-CONNECT": 405,
  "COMP-EXPECT-UNKNOWN": 417,
};

/** Whether a row allows what was seen: "2xx", statuses, "close", with alternatives. */
function allows(expected: string, status: number, closes: boolean): boolean {
  if (expected.startsWith("!")) return expected !== `!${status}`;
  if (/\d/.test(expected) === false) return expected.includes("close") && closes;
  if (expected.includes(String(status))) return true;
  return expected.includes("2xx") && status >= 200 && status < 300;
}

onEveryEngine("requests of a published prober", (engine) => {
  engine.ruleOnStreams("each is answered as its row says", async (trial) => {
    const served = await serveHttp(trial, async (request, response) => {
      if (request.method === "CONNECT") return response.send(405, { allow: "GET, POST" });
      if (request.method === "GET" && request.wantsUpgrade) {
        return response.send(426, { "sec-websocket-version": "13", upgrade: "websocket" });
      }
      return response.send(200, {}, request.hasBody ? await request.bytes() : "OK");
    });
    const asked = requests.map((row) => ({ ...row, client: served.ask(row.request) }));
    const isAnswered = ({ id, client }: (typeof asked)[number]) =>
      OTHERS[id] === "waits" || client.isUnbound || (responses(client.text)?.length ?? 0) > 0;
    await trial.until(() => asked.every(isAnswered), "all are answered");
    await trial.settle(100);
    const wrong: string[] = [];
    for (const { id, expected, client } of asked) {
      const seen = responses(client.text)?.filter(({ status }) => status >= 200) ?? [];
      const found = seen[0]?.status ?? "waits";
      const ours = OTHERS[id] ?? 400;
      if (found !== ours) wrong.push(`${id}: ${found}, not ${ours}`);
      if (typeof found === "number" && !allows(expected, found, client.isUnbound))
        wrong.push(`${id}: ${found}, allowed is ${expected}`);
      if (ours === 400 && !client.isUnbound) wrong.push(`${id}: it is still open`);
      if (ours === 400 && seen.length !== 1) wrong.push(`${id}: ${seen.length} responses`);
    }
    assert.deepEqual(wrong, []);
    for (const { client } of asked) if (!client.isUnbound) client.closeConnection();
  });
});
