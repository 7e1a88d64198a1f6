import assert from "node:assert/strict";
import { test } from "node:test";
import { HttpConnection, type HttpOptions } from "eventmachine/http";

const COUNTS = ["maxBody", "maxBufferedBody"] as const;
const NUMBERS = [
  "maxStartLine",
  "maxHeaderSection",
  "maxHeaderFields",
  "maxPipelined",
  "maxRequestsPerConnection",
] as const;
const TIMES = ["headerTimeout", "bodyTimeout", "keepAliveTimeout", "responseTimeout"] as const;

test("options of HttpConnection are checked, by name and by value", () => {
  const refused = (options: object) =>
    assert.throws(() => new HttpConnection(options as HttpOptions), { code: "ERR_EM_INVALID_ARGUMENT" });
  refused({ misspelt: 1 });
  for (const name of COUNTS) for (const value of [-1, 1.5, "1", null, Number.NaN]) refused({ [name]: value });
  for (const name of NUMBERS) for (const value of [0, -1, 1.5, "1", null, Number.NaN]) refused({ [name]: value });
  for (const name of TIMES)
    for (const value of [-1, "1", null, Number.NaN, Number.POSITIVE_INFINITY]) refused({ [name]: value });
  for (const value of [-1, "1", null, Number.NaN, Number.POSITIVE_INFINITY]) refused({ minBodyRate: value });
  for (const options of [null, 1, "text"]) refused(options as never);
});

test("an object of options is checked once, and then stands", () => {
  const options: HttpOptions = { maxBody: 10 };
  new HttpConnection(options);
  options.maxBody = -1;
  new HttpConnection(options);
});
