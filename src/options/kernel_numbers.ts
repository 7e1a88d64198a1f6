import { describe } from "../base/describe.js";
import { ArgumentError } from "../base/errors.js";

/**
 * What Linux takes for each number that goes to it as it is (tcp(7), socket(7), listen(2)). Beyond that it refuses, or makes
 * something else of the number, and node:net says neither: so they are checked here, before an engine sees them.
 */
const BOUNDS = {
  "keepAlive.idle": { least: 1, most: 32_767_000, unit: "milliseconds" },
  "keepAlive.interval": { least: 1, most: 32_767_000, unit: "milliseconds" },
  "keepAlive.count": { least: 1, most: 127, unit: "a whole number" },
  tcpUserTimeout: { least: 0, most: 0x7fffffff, unit: "a whole number of milliseconds" },
  receiveBufferSize: { least: 1, most: 0x7fffffff, unit: "a whole number of bytes" },
  sendBufferSize: { least: 1, most: 0x7fffffff, unit: "a whole number of bytes" },
  backlog: { least: 1, most: 0x7fffffff, unit: "a whole number" },
} as const;

/** The longest `keepAlive.idle`. */
export const MAX_KEEP_ALIVE_IDLE = BOUNDS["keepAlive.idle"].most;

/** Checks a number the kernel bounds; the error names the option and the range. */
export function checkKernelNumber(value: unknown, option: keyof typeof BOUNDS): number {
  const { least, most, unit } = BOUNDS[option];
  const isNumber = typeof value === "number" && (unit === "milliseconds" || Number.isInteger(value));
  if (!isNumber || !(value >= least && value <= most)) {
    throw new ArgumentError(`${option} must be ${unit} from ${least} to ${most}, not ${describe(value)}`);
  }
  return value;
}
