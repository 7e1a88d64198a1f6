import type { Capability } from "./capabilities.js";

/** What Linux takes for a number that goes to it as it is. */
export interface Range {
  readonly least: number;
  readonly most: number;
  readonly unit: "milliseconds" | `a whole number${"" | ` of ${string}`}`;
}

/** An option that is one C int for the kernel, and how it goes there. */
interface KernelOption {
  /** "flag" is true or false, for the kernel 1 or 0. */
  readonly takes: Range | "flag";
  /** The capability that setting it needs; undefined for what every engine can. */
  readonly needs: Capability | undefined;
  /** The names of level and option, whose numbers the addon knows. */
  readonly level: "SOL_SOCKET" | "IPPROTO_TCP";
  readonly option: string;
}

const bytes = { least: 1, most: 0x7fffffff, unit: "a whole number of bytes" } as const;
const wholeMilliseconds = { least: 0, most: 0x7fffffff, unit: "a whole number of milliseconds" } as const;

/** One row each: what it means and its default stand in options/options.ts. */
export const KERNEL_OPTIONS = {
  noDelay: { takes: "flag", needs: undefined, level: "IPPROTO_TCP", option: "TCP_NODELAY" },
  receiveBufferSize: { takes: bytes, needs: "bufferSizes", level: "SOL_SOCKET", option: "SO_RCVBUF" },
  sendBufferSize: { takes: bytes, needs: "bufferSizes", level: "SOL_SOCKET", option: "SO_SNDBUF" },
  tcpUserTimeout: {
    takes: wholeMilliseconds,
    needs: "tcpUserTimeout",
    level: "IPPROTO_TCP",
    option: "TCP_USER_TIMEOUT",
  },
} as const satisfies Readonly<Record<string, KernelOption>>;

type Rows = typeof KERNEL_OPTIONS;
/** The options that are flags or numbers, and nothing more. */
export type KernelOptionName = keyof Rows;
type KernelValue<Name extends KernelOptionName> = Rows[Name]["takes"] extends "flag" ? boolean : number;
type KernelOptions = { [Name in KernelOptionName]?: KernelValue<Name> };
/** Those of them that are numbers. */
export type KernelNumberName = {
  [Name in KernelOptionName]: Rows[Name]["takes"] extends "flag" ? never : Name;
}[KernelOptionName];
/** The kernel's names of them. */
export type KernelConstant = Rows[KernelOptionName]["level" | "option"];

/** What the kernel is asked of every socket of a listener, or of one connection. Absent means the system's default. */
export interface SocketOptions extends KernelOptions {
  keepAlive?: KeepAlive;
}

/** Times in milliseconds, rounded up to whole seconds, as the kernel counts. */
export interface KeepAlive {
  /** How long nothing was received before the first probe: 1 to 32,767,000. */
  idle?: number;
  /** The time between probes: 1 to 32,767,000. */
  interval?: number;
  /** How many probes go unanswered before the connection ends: 1 to 127. */
  count?: number;
}

export const kernelOptionNames = Object.keys(KERNEL_OPTIONS) as readonly KernelOptionName[];

/** The first capability that these options need and the engine lacks: better refused than silently left out. */
export function lackedFor(options: SocketOptions, capabilities: ReadonlySet<Capability>): Capability | undefined {
  const { keepAlive } = options;
  const probes = keepAlive?.interval !== undefined || keepAlive?.count !== undefined;
  if (probes && !capabilities.has("keepAliveProbes")) return "keepAliveProbes";
  for (const name of kernelOptionNames) {
    const { needs } = KERNEL_OPTIONS[name];
    if (options[name] !== undefined && needs !== undefined && !capabilities.has(needs)) return needs;
  }
  return undefined;
}
