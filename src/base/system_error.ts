import { getSystemErrorName } from "node:util";
import { isCode } from "./error_code.js";
import { type ErrorDetails, EventMachineError } from "./errors.js";

/** A system call failed. `code` is the system's name for it, `errno` its number as Node gives it (negative). */
export class SystemError extends EventMachineError {
  /** See `EventMachineError.brand`. */
  static override readonly brand: string = "SystemError";
  /** The error's number, negative, as Node gives it. */
  readonly errno: number;

  constructor(errno: number, syscall: string, details: ErrorDetails = {}) {
    const code = errnoName(errno);
    const at = details.address === undefined ? "" : ` ${formatPlace(details.address, details.port)}`;
    super(code, `${syscall} ${code}${at}`, { ...details, syscall });
    this.errno = errno;
  }
}

/** The system's name for a negative errno, `EUNKNOWN` with the number where it has none. */
export function errnoName(errno: number): string {
  try {
    // What has no name has a sentence there.
    const code = getSystemErrorName(errno);
    if (isCode(code)) return code;
  } catch {}
  return `EUNKNOWN${Math.abs(errno)}`;
}

function formatPlace(address: string, port: number | undefined): string {
  if (port === undefined) return address;
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
