import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { orderAddresses } from "../../src/dns/address_order.js";

/** Sources, destinations as they came, destinations as they are to be tried. */
type Example = readonly [string, readonly string[], readonly string[]];

/** RFC 6724 section 10.2, those without a home address; and what becomes of addresses that nothing here reaches. */
const EXAMPLES: readonly Example[] = [
  ["2001:db8:1::2 fe80::1 169.254.13.78", ["2001:db8:1::1", "198.51.100.121"], ["2001:db8:1::1", "198.51.100.121"]],
  ["fe80::1 198.51.100.117", ["2001:db8:1::1", "198.51.100.121"], ["198.51.100.121", "2001:db8:1::1"]],
  ["2001:db8:1::2 fe80::1 10.1.2.4", ["2001:db8:1::1", "10.1.2.3"], ["2001:db8:1::1", "10.1.2.3"]],
  ["2001:db8:1::2 fe80::2", ["2001:db8:1::1", "fe80::1"], ["fe80::1", "2001:db8:1::1"]],
  [
    "2001:db8:1::2 2001:db8:3f44::2 fe80::2",
    ["2001:db8:3ffe::1", "2001:db8:1::1"],
    ["2001:db8:1::1", "2001:db8:3ffe::1"],
  ],
  [
    "2002:c633:6401::2 2001:db8:1::2 fe80::2",
    ["2001:db8:1::1", "2002:c633:6401::1"],
    ["2001:db8:1::1", "2002:c633:6401::1"],
  ],
  ["2002:c633:6401::2 fe80::2 10.1.2.4", ["2001:db8:1::1", "10.1.2.3"], ["10.1.2.3", "2001:db8:1::1"]],
  ["10.1.2.4", ["2001:db8::1", "192.0.2.1"], ["192.0.2.1", "2001:db8::1"]],
  ["::1 127.0.0.1", ["2001:db8::1", "127.0.0.1", "::1"], ["::1", "127.0.0.1", "2001:db8::1"]],
  ["10.1.2.4", ["192.0.2.3", "10.1.2.3", "192.0.2.1"], ["192.0.2.3", "10.1.2.3", "192.0.2.1"]],
  ["fd00::5 2001:db8::5", ["2001:db8::1", "fd00::1"], ["2001:db8::1", "fd00::1"]],
  ["fe80::2%eth0", ["fe80::1%eth0"], ["fe80::1%eth0"]],
  ["", ["2001:db8::1", "192.0.2.1"], ["2001:db8::1", "192.0.2.1"]],
];

describe("the order of a name's addresses", () => {
  for (const [sources, came, expected] of EXAMPLES) {
    it(`is ${expected.join(", ")} from ${sources || "nowhere"}`, () => {
      const from = sources === "" ? [] : sources.split(" ");
      assert.deepEqual(orderAddresses(came, from), expected);
      const forms = came.length === 2 && expected.length === 2 && sources !== "" ? [...came].reverse() : came;
      assert.deepEqual(orderAddresses(forms, from), expected, "in whatever order they came");
    });
  }
});
