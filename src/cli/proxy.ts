import {
  ArgumentError,
  EventMachineError,
  type ProxyOutcome,
  type ProxyServer,
  parseAddress,
  Reactor,
} from "../index.js";
import { engineChoice, readOptions } from "./arguments.js";
import { addressesOf, NEEDS_RESTART, type ProxyConfig, proxyOptions, readConfig, shown } from "./proxy_config.js";
import { serveStats } from "./stats_server.js";
import { UsageError } from "./usage_error.js";

const FLAGS = {
  listen: { type: "string", multiple: true },
  to: { type: "string", multiple: true },
  balance: { type: "string" },
  "tls-cert": { type: "string" },
  "tls-key": { type: "string" },
  "to-tls": { type: "boolean" },
  "to-ca": { type: "string" },
  "to-name": { type: "string" },
  "proxy-protocol": { type: "string" },
  "proxy-from": { type: "string", multiple: true },
  sni: { type: "string", multiple: true },
  health: { type: "string" },
  "health-expect": { type: "string" },
  allow: { type: "string", multiple: true },
  deny: { type: "string", multiple: true },
  "max-per-source": { type: "string" },
  "max-connections": { type: "string" },
  "idle-timeout": { type: "string" },
  "connect-timeout": { type: "string" },
  retries: { type: "string" },
  stats: { type: "string" },
  log: { type: "boolean" },
  config: { type: "string" },
  check: { type: "boolean" },
  engine: { type: "string" },
} as const;

type Flags = ReturnType<typeof readOptions<typeof FLAGS>>;

/** `eventmachine proxy`. */
export async function proxy(args: string[]): Promise<void> {
  const flags = readOptions(args, FLAGS);
  const config = configOf(flags);
  const engine = engineChoice(flags.engine);
  if (flags.check === true) {
    await check(config);
    console.log("the configuration is good");
    return;
  }
  const reactor = new Reactor({ engine });
  const { drainDeadline } = config;
  await reactor.run(
    async () => {
      const server = await reactor.startProxy({ ...proxyOptions(config), ...logging(config) });
      for (const address of server.addresses) console.log(`listening on ${shown(address)}`);
      if (config.stats !== undefined) {
        const { address } = await serveStats(reactor, parseAddress(config.stats), config.statsHosts ?? [], server);
        console.log(`figures on ${shown(address)}`);
      }
      const stop = onSignals(flags, config, server);
      reactor.addShutdownHook(stop);
    },
    { signals: true, ...(drainDeadline === undefined ? {} : { drainDeadline }) },
  );
}

/** The file's, with what the command line says in its place. */
function configOf(flags: Flags): ProxyConfig {
  const config: ProxyConfig = flags.config === undefined ? {} : { ...readConfig(flags.config) };
  const { "tls-cert": cert, "tls-key": key } = flags;
  if (flags.listen !== undefined) config.listen = flags.listen;
  if (cert !== undefined) config.tls = { cert, ...(key === undefined ? {} : { key }) };
  else if (key !== undefined) throw new UsageError("--tls-cert FILE is needed for TLS");
  if (flags.balance !== undefined) config.balance = flags.balance as NonNullable<ProxyConfig["balance"]>;
  if (flags.stats !== undefined) config.stats = flags.stats;
  if (flags.log !== undefined) config.log = flags.log;
  for (const [name, flag] of [
    ["maxConnections", "max-connections"],
    ["idleTimeout", "idle-timeout"],
    ["connectTimeout", "connect-timeout"],
    ["retries", "retries"],
  ] as const) {
    const text = flags[flag];
    if (text !== undefined) config[name] = numberOf(text, flag);
  }
  setBackends(config, flags);
  setProxyProtocol(config, flags);
  setAccess(config, flags);
  const { health, "health-expect": expect } = flags;
  if (health !== undefined && health !== "tcp") config.health = { ...config.health, send: unescaped(health) };
  else if (health !== undefined) config.health = { ...config.health };
  if (expect !== undefined) config.health = { ...config.health, expect: unescaped(expect) };
  if (config.discover === undefined && (config.backends ?? []).length === 0) {
    throw new UsageError("--to ADDR[,ADDR...] is needed, or backends in --config FILE");
  }
  addressesOf(config.listen);
  return config;
}

type ConfigBackend = NonNullable<ProxyConfig["backends"]>[number];

function setBackends(config: ProxyConfig, flags: Flags): void {
  const tls =
    flags["to-tls"] === true
      ? {
          ...(flags["to-ca"] === undefined ? {} : { ca: flags["to-ca"] }),
          ...(flags["to-name"] === undefined ? {} : { serverName: flags["to-name"] }),
        }
      : undefined;
  const sends = sentVersion(flags);
  const backend = (address: string): ConfigBackend => {
    if (tls === undefined && sends === undefined) return address;
    const place = parseAddress(address);
    return {
      ...place,
      ...(tls === undefined ? {} : { tls }),
      ...(sends === undefined ? {} : { proxyProtocol: sends }),
    };
  };
  const to = flags.to?.flatMap((text) => text.split(","));
  if (to !== undefined) config.backends = to.map(backend);
  for (const rule of flags.sni ?? []) {
    const [name = "", address] = rule.split("=");
    if (address === undefined || name === "") throw new UsageError(`--sni must be NAME=ADDR, not ${rule}`);
    const place = parseAddress(address);
    config.backends = [...(config.backends ?? []), { ...place, name: rule }];
    config.routes = [...(config.routes ?? []), { serverName: name, backends: [rule] }];
  }
}

function sentVersion(flags: Flags): 1 | 2 | undefined {
  const mode = flags["proxy-protocol"];
  if (mode === undefined || mode === "in") return undefined;
  if (mode === "out" || mode === "both") return 2;
  throw new UsageError(`--proxy-protocol must be in, out or both, not ${JSON.stringify(mode)}`);
}

function setProxyProtocol(config: ProxyConfig, flags: Flags): void {
  const mode = flags["proxy-protocol"];
  const from = flags["proxy-from"]?.flatMap((text) => text.split(","));
  if (mode !== "in" && mode !== "both") {
    if (from !== undefined) throw new UsageError("--proxy-from goes with --proxy-protocol in, or both");
    return;
  }
  if (from === undefined) throw new UsageError("--proxy-from NETWORK[,NETWORK...] must say whose headers are trusted");
  config.proxyProtocol = { from };
}

function setAccess(config: ProxyConfig, flags: Flags): void {
  const [allow, deny] = [flags.allow, flags.deny].map((texts) => texts?.flatMap((text) => text.split(",")));
  const most = flags["max-per-source"];
  if (allow === undefined && deny === undefined && most === undefined) return;
  config.access = {
    ...config.access,
    ...(allow === undefined ? {} : { allow }),
    ...(deny === undefined ? {} : { deny }),
    ...(most === undefined ? {} : { maxPerSource: numberOf(most, "max-per-source") }),
  };
}

function numberOf(text: string, flag: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new UsageError(`--${flag} must be a whole number, not ${JSON.stringify(text)}`);
  return Number(text);
}

/** `\r` and `\n`, which a shell does not write. */
function unescaped(text: string): string {
  return text.replace(/\\r/g, "\r").replace(/\\n/g, "\n");
}

function logging(config: ProxyConfig): { onFinish?: (outcome: ProxyOutcome) => void } {
  if (config.log !== true) return {};
  return {
    onFinish: (outcome) => {
      const client = outcome.client === undefined ? null : shown(outcome.client);
      console.log(JSON.stringify({ time: new Date().toISOString(), ...outcome, client }));
    },
  };
}

/** Everything that a start would refuse but its addresses; nobody is connected to. */
async function check(config: ProxyConfig): Promise<void> {
  const { health, discover, ...options } = proxyOptions(config);
  const [first] = options.listen as readonly object[];
  const listen = { ...without(first as object), host: "127.0.0.1", port: 0 };
  const reactor = new Reactor({ engine: "portable" });
  await reactor.run(async () => {
    await (await reactor.startProxy({ ...options, listen })).close();
    if (discover !== undefined) await (await reactor.startProxy({ listen, backends: [], discover })).close();
    if (health !== undefined) await (await reactor.startProxy({ listen, backends: [], health })).close();
    if (config.stats !== undefined) parseAddress(config.stats);
    reactor.stop();
  });
}

function without(address: object): object {
  const { host: _host, port: _port, path: _path, ...rest } = address as Record<string, unknown>;
  return rest;
}

/** SIGHUP reads the configuration again; a bad one changes nothing. Returns what lets go of the signal. */
function onSignals(flags: Flags, started: ProxyConfig, server: ProxyServer): () => void {
  const reload = (): void => {
    try {
      const config = configOf(flags);
      const { listen, ...options } = proxyOptions(config);
      const tls = (listen as readonly { tls?: Parameters<ProxyServer["setTlsContext"]>[0] }[])[0]?.tls;
      if ((tls === undefined) !== (started.tls === undefined))
        throw new ArgumentError("tls cannot come or go without a restart");
      server.reconfigure({ ...options, ...logging(config) });
      if (tls !== undefined) server.setTlsContext(tls);
      const left = NEEDS_RESTART.filter((name) => JSON.stringify(config[name]) !== JSON.stringify(started[name]));
      for (const name of left) console.error(`eventmachine: ${name} has changed, which needs a restart`);
      console.log("reloaded");
    } catch (error) {
      if (!(error instanceof UsageError) && !(error instanceof EventMachineError)) throw error;
      console.error(`eventmachine: not reloaded: ${error.message}`);
    }
  };
  process.on("SIGHUP", reload);
  return () => void process.off("SIGHUP", reload);
}
