import { type ParseArgsConfig, parseArgs } from "node:util";
import { ArgumentError, parseAddress } from "../index.js";
import { UsageError } from "./usage_error.js";

/** Where to listen, as `startServer` takes it. */
export type ListenAddress = ReturnType<typeof parseAddress>;

/** What a command's `--engine` may say. */
export type EngineChoice = "auto" | "native" | "portable";

type Options = NonNullable<ParseArgsConfig["options"]>;
type Values<O extends Options> = ReturnType<typeof parseArgs<{ options: O; strict: true }>>["values"];

/** `parseArgs` for a command without positional arguments; what it rejects becomes a UsageError of one line. */
export function readOptions<const O extends Options>(args: string[], options: O): Values<O> {
  try {
    return parseArgs({ args, options, strict: true, allowPositionals: false }).values;
  } catch (error) {
    const { code = "", message } = error as NodeJS.ErrnoException;
    if (!code.startsWith("ERR_PARSE_ARGS_")) throw error;
    // Node's message goes on with advice, over several lines: the first sentence says what is wrong.
    throw new UsageError((message.split(/\n|\. /)[0] as string).replace(/\.$/, ""));
  }
}

export function listenAddress(text: string | undefined): ListenAddress {
  if (text === undefined) throw new UsageError("--listen ADDR is needed: host:port, [v6]:port, :port or unix:/path");
  try {
    return parseAddress(text);
  } catch (error) {
    if (error instanceof ArgumentError) throw new UsageError(`--listen: ${error.message}`);
    throw error;
  }
}

export function engineChoice(text: string | undefined): EngineChoice {
  if (text === undefined) return "auto";
  if (text === "native" || text === "portable") return text;
  throw new UsageError(`--engine must be native or portable, not ${JSON.stringify(text)}`);
}
