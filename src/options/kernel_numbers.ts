import { describe } from "../base/describe.js";
import { ArgumentError } from "../base/errors.js";
import { KERNEL_OPTIONS, type KernelNumberName, type Range } from "../engine/socket_options.js";

/**
 * What Linux takes for each number that goes to it as it is (tcp(7), socket(7), listen(2)), beside the socket options that
 * are one number. Beyond that it refuses, or makes something else of the number, and node:net says neither: so they are
 * checked here, before an engine sees them.
 */
const BOUNDS = {
  "keepAlive.idle": { least: 1, most: 32_767_000, unit: "milliseconds" },
  "keepAlive.interval": { least: 1, most: 32_767_000, unit: "milliseconds" },
  "keepAlive.count": { least: 1, most: 127, unit: "a whole number" },
  backlog: { least: 1, most: 0x7fffffff, unit: "a whole number" },
} as const satisfies Readonly<Record<string, Range>>;

export type KernelNumber = keyof typeof BOUNDS | KernelNumberName;

/** The longest `keepAlive.idle`. */
export const MAX_KEEP_ALIVE_IDLE = BOUNDS["keepAlive.idle"].most;

/** Checks a number the kernel bounds; the error names the option and the range. */
export function checkKernelNumber(value: unknown, option: KernelNumber): number {
  const { least, most, unit } =
    option in BOUNDS ? BOUNDS[option as keyof typeof BOUNDS] : KERNEL_OPTIONS[option as KernelNumberName].takes;
  const isNumber = typeof value === "number" && (unit === "milliseconds" || Number.isInteger(value));
  if (!isNumber || !(value >= least && value <= most)) {
    throw new ArgumentError(`${option} must be ${unit} from ${least} to ${most}, not ${describe(value)}`);
  }
  return value;
}
