import { chat } from "./chat.js";
import { echo } from "./echo.js";
import { explain } from "./failure.js";
import { info } from "./info.js";
import { packageVersion } from "./package_version.js";
import { proxy } from "./proxy.js";
import { udpEcho } from "./udp_echo.js";
import { UsageError } from "./usage_error.js";

const HELP = `Usage: eventmachine COMMAND [OPTIONS]

Commands
  info [--json]                  which engine serves here, why, and what it lacks
  echo --listen ADDR             send back what comes in
       [--engine ENGINE]         native or portable; default: native where it can be had
       [--lines]                 answer line by line instead
       [--borrow]                do not copy what comes in
       [--tls-cert FILE --tls-key FILE]
                                 serve TLS with this certificate (chain) and key, both PEM
       [--client-ca FILE]        have clients show a certificate of this authority
  udp-echo --listen ADDR         send each datagram back to its sender
       [--engine ENGINE]
  proxy --listen ADDR --to ADDR[,ADDR...]
                                 pass connections on to these backends; the options are in docs/proxy.md
       [--config FILE] [--check] read them from a file; say whether they are good
  chat --listen ADDR             a line chat between all who connect
       [--engine ENGINE]

  ADDR is host:port, [v6]:port, :port (every interface) or unix:/path; port 0 lets the system choose.
  Servers print "listening on ADDR" once they accept; SIGTERM and SIGINT drain them.

  --version                      print the version
  --help                         print this text`;

/** The whole command: 0 done, 1 it failed, 2 the command line is wrong. */
export async function runCommand(args: string[]): Promise<number> {
  try {
    await dispatch(args);
    return 0;
  } catch (error) {
    return explain("eventmachine", error);
  }
}

async function dispatch(args: string[]): Promise<void> {
  const [command, ...rest] = args;
  if (command === "--version") console.log(packageVersion());
  else if (command === "--help" || rest.includes("--help")) console.log(HELP);
  else if (command === "info") info(rest);
  else if (command === "echo") await echo(rest);
  else if (command === "udp-echo") await udpEcho(rest);
  else if (command === "proxy") await proxy(rest);
  else if (command === "chat") await chat(rest);
  else if (command === undefined)
    throw new UsageError("a command is needed: info, echo, udp-echo, proxy or chat (--help tells more)");
  else
    throw new UsageError(`unknown command ${JSON.stringify(command)}: it must be info, echo, udp-echo, proxy or chat`);
}
