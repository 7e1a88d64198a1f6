import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import type { Binding } from "../../../src/engine/native/binding.js";
import { optionTriples } from "../../../src/engine/native/socket_options.js";
import { KERNEL_OPTIONS, kernelOptionNames } from "../../../src/engine/socket_options.js";
import { native } from "./driver.js";

const { constants } = createRequire(import.meta.url)(native().path) as Binding;

test("the addon knows the number of every option that goes to the kernel as it is", () => {
  for (const name of kernelOptionNames) {
    const { level, option, takes } = KERNEL_OPTIONS[name];
    assert.ok(Number.isInteger(constants[level]), level);
    assert.ok(Number.isInteger(constants[option]), option);
    const value = takes === "flag" ? true : takes.most;
    const triple = optionTriples({ [name]: value }, constants);
    assert.deepEqual([...triple], [constants[level], constants[option], Number(value)]);
  }
  const numbers = kernelOptionNames.map(
    (name) => `${KERNEL_OPTIONS[name].level} ${constants[KERNEL_OPTIONS[name].option]}`,
  );
  assert.equal(new Set(numbers).size, numbers.length, "no two are the same option");
});
