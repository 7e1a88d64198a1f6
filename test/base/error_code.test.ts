import assert from "node:assert/strict";
import { constants } from "node:os";
import { test } from "node:test";
import { codeOf } from "../../src/base/error_code.js";
import { errnoName, SystemError } from "../../src/base/system_error.js";

test("a number without a name has a code all the same, and no sentence", () => {
  assert.equal(errnoName(-constants.errno.EINVAL), "EINVAL");
  for (const errno of [-99_999, -1_000_000, -512]) {
    assert.equal(errnoName(errno), `EUNKNOWN${-errno}`);
    assert.equal(new SystemError(errno, "read").code, `EUNKNOWN${-errno}`);
  }
  for (const errno of [0, 1, 3.5, Number.NaN]) assert.match(errnoName(errno), /^EUNKNOWN\S+$/);
});

test("only a word in capitals is a code", () => {
  assert.equal(codeOf({ code: "ERR_SSL_WRONG_VERSION_NUMBER" }), "ERR_SSL_WRONG_VERSION_NUMBER");
  for (const code of ["Unknown system error -99999", "", "enoent", 7, undefined, null, {}]) {
    assert.equal(codeOf({ code }), undefined);
  }
  for (const error of [undefined, null, "text", 7]) assert.equal(codeOf(error), undefined);
});
