import { getSystemErrorMap } from "node:util";
import { ArgumentError, EventMachineError, SystemError } from "../index.js";
import { UsageError } from "./usage_error.js";

/** Says on one line of standard error what went wrong, and returns the exit code. An error of no known kind goes on. */
export function explain(command: string, error: unknown): 1 | 2 {
  if (!(error instanceof UsageError) && !(error instanceof EventMachineError)) throw error;
  console.error(`${command}: ${error instanceof SystemError ? systemFailure(error) : error.message}`);
  return error instanceof UsageError || error instanceof ArgumentError ? 2 : 1;
}

function systemFailure(error: SystemError): string {
  const meaning = getSystemErrorMap().get(error.errno)?.[1];
  return meaning === undefined ? error.message : `${error.message}: ${meaning}`;
}
