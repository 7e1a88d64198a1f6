import { execFileSync } from "node:child_process";
import { chmodSync, chownSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "../../support/free_port.js";
import { needs } from "../../support/programs.js";
import { makeCertificate, Program, temporaryFolder, until } from "./program.js";

/** A server that listens on a plain port and a TLS port of 127.0.0.1. */
export interface TestServer {
  readonly port: number;
  readonly tlsPort: number;
  /** The certificate to trust. */
  readonly ca: Buffer;
  stop(): Promise<void>;
}

export async function startRedis(): Promise<TestServer> {
  const program = needs("redis-server");
  const folder = temporaryFolder("redis");
  const { cert, key } = makeCertificate(folder.path);
  const [port, tlsPort] = [await freePort(), await freePort()];
  const options = ["--port", `${port}`, "--tls-port", `${tlsPort}`, "--bind", "127.0.0.1", "--save", ""];
  const files = ["--dir", folder.path, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert];
  const redis = new Program(program, [...options, ...files, "--tls-auth-clients", "no"]);
  return started(redis, [port, tlsPort], cert, folder.remove);
}

export async function startMosquitto(): Promise<TestServer> {
  const program = needs("mosquitto");
  const folder = temporaryFolder("mosquitto");
  const { cert, key } = makeCertificate(folder.path);
  const [port, tlsPort] = [await freePort(), await freePort()];
  const configuration = join(folder.path, "mosquitto.conf");
  writeFileSync(
    configuration,
    `allow_anonymous true
user root
listener ${port} 127.0.0.1
listener ${tlsPort} 127.0.0.1
certfile ${cert}
keyfile ${key}
`,
  );
  return started(new Program(program, ["-c", configuration]), [port, tlsPort], cert, folder.remove);
}

/** PostgreSQL refuses to run as root: where we are root it runs as the user its package has made. */
export async function startPostgres(): Promise<TestServer & { readonly user: string }> {
  const initdb = needs("initdb");
  const postgres = needs("postgres");
  const folder = temporaryFolder("postgres");
  const data = join(folder.path, "data");
  const made = makeCertificate(folder.path);
  const isRoot = process.getuid?.() === 0;
  const as = isRoot ? ["runuser", "-u", "postgres", "--"] : [];
  mkdirSync(data);
  const [cert, key] = [join(folder.path, "server.crt"), join(folder.path, "server.key")];
  copyFileSync(made.cert, cert);
  copyFileSync(made.key, key);
  chmodSync(key, 0o600);
  if (isRoot) {
    const uid = Number(execFileSync("id", ["-u", "postgres"], { encoding: "utf8" }));
    for (const path of [folder.path, data, cert, key]) chownSync(path, uid, -1);
  }
  const run = (command: string, args: readonly string[]) => [...as, command, ...args] as [string, ...string[]];
  const [init, ...initArgs] = run(initdb, ["-D", data, "-U", "em", "-A", "trust", "-N", "--no-instructions"]);
  execFileSync(init, initArgs, { stdio: "ignore", cwd: "/" });
  const port = await freePort();
  const settings = ["listen_addresses=127.0.0.1", `unix_socket_directories=${folder.path}`, "fsync=off"];
  settings.push("ssl=on", `ssl_cert_file=${cert}`, `ssl_key_file=${key}`);
  const options = settings.flatMap((setting) => ["-c", setting]);
  const [command, ...args] = run(postgres, ["-D", data, "-p", `${port}`, ...options]);
  const server = await started(new Program(command, args), [port, port], made.cert, folder.remove, () =>
    stopPostgres(data),
  );
  try {
    // It listens before it takes anybody.
    await until(() => readFileSync(join(data, "postmaster.pid"), "utf8").split("\n")[7]?.trim() === "ready");
  } catch (error) {
    await server.stop();
    throw error;
  }
  return { ...server, user: "em" };
}

/** Its own pid, for `runuser` does not pass signals on; SIGINT is its fast shutdown. */
function stopPostgres(data: string): void {
  const [pid] = readFileSync(join(data, "postmaster.pid"), "utf8").split("\n");
  process.kill(Number(pid), "SIGINT");
}

/** RabbitMQ with AMQP and STOMP, each plain and over TLS. */
export async function startRabbit(): Promise<TestServer & { readonly stomp: TestServer }> {
  const program = needs("rabbitmq-server");
  const folder = temporaryFolder("rabbit");
  const { cert, key } = makeCertificate(folder.path);
  const [port, tlsPort, stompPort, stompTlsPort, distribution, names] = await Promise.all(
    [1, 2, 3, 4, 5, 6].map(() => freePort()),
  );
  const configuration = join(folder.path, "rabbitmq.conf");
  writeFileSync(
    configuration,
    `listeners.tcp.1 = 127.0.0.1:${port}
listeners.ssl.1 = 127.0.0.1:${tlsPort}
stomp.listeners.tcp.1 = 127.0.0.1:${stompPort}
stomp.listeners.ssl.1 = 127.0.0.1:${stompTlsPort}
ssl_options.certfile = ${cert}
ssl_options.keyfile = ${key}
ssl_options.cacertfile = ${cert}
ssl_options.verify = verify_none
log.console = true
log.file = false
`,
  );
  const plugins = join(folder.path, "enabled_plugins");
  writeFileSync(plugins, "[rabbitmq_stomp].\n");
  const server = new Program(program, [], {
    HOME: folder.path,
    RABBITMQ_NODENAME: `em${distribution}@localhost`,
    RABBITMQ_DIST_PORT: `${distribution}`,
    ERL_EPMD_PORT: `${names}`,
    RABBITMQ_CONFIG_FILE: configuration,
    RABBITMQ_ENABLED_PLUGINS_FILE: plugins,
    RABBITMQ_MNESIA_BASE: join(folder.path, "mnesia"),
    RABBITMQ_LOG_BASE: join(folder.path, "log"),
    RABBITMQ_PID_FILE: join(folder.path, "pid"),
  });
  const stop = (): void => {
    process.kill(Number(readFileSync(join(folder.path, "pid"), "utf8")), "SIGTERM");
  };
  const ports = [port, tlsPort, stompPort, stompTlsPort] as [number, number, number, number];
  // Erlang's name daemon outlives the node that has started it.
  const epmd = needs("epmd");
  const remove = (): void => {
    execFileSync(epmd, ["-port", `${names}`, "-kill"], { stdio: "ignore" });
    folder.remove();
  };
  const amqp = await started(server, ports, cert, remove, stop);
  return { ...amqp, stomp: { ...amqp, port: ports[2], tlsPort: ports[3] } };
}

async function started(
  program: Program,
  ports: readonly [number, number, ...number[]],
  cert: string,
  remove: () => void,
  ask?: () => void,
): Promise<TestServer> {
  const ca = readFileSync(cert);
  const stop = async (): Promise<void> => {
    await program.stop(ask);
    remove();
  };
  try {
    for (const port of ports) await program.listensOn(port);
  } catch (error) {
    await stop();
    throw error;
  }
  return { port: ports[0], tlsPort: ports[1], ca, stop };
}
