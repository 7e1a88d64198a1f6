import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import nodemailer from "nodemailer";
import { SMTPServer, type SMTPServerOptions } from "smtp-server";
import { type Carrier, onEveryCarrier, sameAsNodeNet, standstill, until } from "./carriers.js";
import { makeIdentity } from "./identity.js";

const identity = makeIdentity();

interface Mail {
  readonly from: string;
  readonly to: string[];
  readonly text: string;
  readonly secure: boolean;
  readonly remote: string;
}

/** An smtp-server whose connections come from the carrier; `secure`: TLS from the first byte. */
async function serveSmtp(carrier: Carrier, secure: boolean, options: SMTPServerOptions = {}) {
  const mails: Mail[] = [];
  const smtp = new SMTPServer({
    ...identity,
    secure,
    authOptional: true,
    logger: false,
    disableReverseLookup: true,
    onData(stream, session, callback) {
      const chunks: Buffer[] = [];
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      stream.on("end", () => {
        const { mailFrom, rcptTo } = session.envelope;
        mails.push({
          from: mailFrom === false ? "" : mailFrom.address,
          to: rcptTo.map(({ address }) => address),
          text: Buffer.concat(chunks).toString(),
          secure: session.secure,
          remote: session.remoteAddress,
        });
        callback();
      });
    },
    ...options,
  });
  smtp.on("error", () => {});
  const served = await carrier.serve((socket) => smtp.server.emit("connection", socket));
  return { ...served, mails, smtp };
}

/** A transport that gets its connections from the carrier. */
function mailerOver(carrier: Carrier, port: number, secure: boolean, starttls: boolean) {
  return nodemailer.createTransport({
    host: "localhost",
    port,
    secure,
    ignoreTLS: !secure && !starttls,
    requireTLS: starttls,
    tls: { ca: identity.cert, servername: "localhost" },
    getSocket(_options: unknown, callback: (error: Error | null, socket?: { connection: Socket }) => void) {
      const socket = carrier.dial(port);
      socket.once("connect", () => callback(null, { connection: socket }));
      socket.once("error", (error) => callback(error));
    },
  } as Parameters<typeof nodemailer.createTransport>[0]);
}

onEveryCarrier("nodemailer and smtp-server", ({ test }) => {
  for (const how of ["plain", "STARTTLS", "TLS"] as const) {
    test(`mails over ${how}`, async (carrier) => {
      const { port, close, mails } = await serveSmtp(carrier, how === "TLS");
      const mailer = mailerOver(carrier, port, how === "TLS", how === "STARTTLS");
      const attachment = Buffer.alloc(2_000_000, "attached ");
      for (const text of ["short", "with something attached"]) {
        await mailer.sendMail({
          from: "a@example.com",
          to: ["b@example.com", "c@example.com"],
          subject: "Grüße",
          text,
          attachments: text === "short" ? [] : [{ filename: "large.txt", content: attachment }],
        });
      }
      assert.equal(mails.length, 2);
      const [first, second] = mails as [Mail, Mail];
      assert.deepEqual(first.to, ["b@example.com", "c@example.com"]);
      assert.match(first.text, /\r\n\r\nshort\r\n$/);
      assert.equal(first.secure, how !== "plain");
      // node:tls asks the handle under it for the address, and a stream that is no node:net socket has none.
      assert.equal(first.remote, carrier.isBridge && how === "TLS" ? "" : "127.0.0.1");
      assert.ok(second.text.length > 2_600_000);
      mailer.close();
      await close();
    });
  }
});

onEveryCarrier("nodemailer and a server that is slow to take a mail", ({ test }) => {
  test("the mail waits, and arrives whole", async (carrier) => {
    const attachment = Buffer.alloc(30_000_000, "attached ");
    let text = 0;
    let takeIt: () => void = () => {};
    const { port, close, sockets } = await serveSmtp(carrier, false, {
      onData(stream, _session, callback) {
        takeIt = () => {
          stream.on("data", (chunk: Buffer) => {
            text += chunk.length;
          });
          stream.on("end", () => callback());
        };
      },
    });
    const mailer = mailerOver(carrier, port, false, false);
    const sent = mailer.sendMail({
      from: "a@example.com",
      to: "b@example.com",
      text: "hello",
      attachments: [{ filename: "large", content: attachment }],
    });
    await until(() => (sockets[0]?.bytesRead ?? 0) > 1_000, "it has begun");
    const stood = await standstill(() => (sockets[0] as Socket).bytesRead);
    assert.ok(stood < 20_000_000, `the server has read ${stood} bytes that nobody takes`);
    takeIt();
    const { accepted } = await sent;
    assert.deepEqual(accepted, ["b@example.com"]);
    assert.ok(text > 40_000_000, "as base64");
    mailer.close();
    await close();
  });
});

sameAsNodeNet("nodemailer: nobody listens", async (carrier, note) => {
  const { port, close } = await carrier.serve();
  await close();
  const mailer = mailerOver(carrier, port, false, false);
  await assert.rejects(mailer.verify(), (error: NodeJS.ErrnoException) => {
    note(error.code, error.message.replace(String(port), "PORT"));
    return true;
  });
});

for (const how of ["reset", "end"] as const) {
  sameAsNodeNet(`nodemailer: ${how === "end" ? "an end" : "a reset"} instead of an answer`, async (carrier, note) => {
    const { port, close } = await carrier.serve((socket) => {
      socket.on("error", () => {});
      socket.write("220 localhost ESMTP\r\n");
      socket.once("data", () => (how === "reset" ? socket.resetAndDestroy() : socket.end()));
    });
    const mailer = mailerOver(carrier, port, false, false);
    await assert.rejects(mailer.verify(), (error: NodeJS.ErrnoException) => {
      note(error.code, error.message);
      return true;
    });
    await close();
  });

  sameAsNodeNet(
    `smtp-server: ${how === "end" ? "an end" : "a reset"} in the middle of a mail`,
    async (carrier, note) => {
      let over = false;
      const { port, close, mails } = await serveSmtp(carrier, false, {
        onClose: () => {
          over = true;
        },
      });
      const socket = carrier.dial(port);
      socket.on("error", () => {});
      const said: string[] = [];
      socket.on("data", (data: Buffer) => said.push(String(data)));
      const dialogue = ["EHLO me\r\n", "MAIL FROM:<a@example.com>\r\n", "RCPT TO:<b@example.com>\r\n", "DATA\r\n"];
      for (const line of dialogue) {
        await once(socket, "data");
        socket.write(line);
      }
      await once(socket, "data");
      socket.write("Subject: never ends\r\n\r\nhello");
      await until(() => said.some((text) => text.startsWith("354")), "it takes data");
      if (how === "reset") socket.resetAndDestroy();
      else socket.end();
      await until(() => over, "it notices");
      note("mails", mails.length);
      await close();
    },
  );
}

sameAsNodeNet("smtp-server: a client that says nothing is told off", async (carrier, note) => {
  const { port, close } = await serveSmtp(carrier, false, { socketTimeout: 400 });
  const socket = carrier.dial(port);
  let text = "";
  socket.on("data", (data: Buffer) => {
    text += data;
  });
  await once(socket, "close");
  note(text.split("\r\n").slice(1).join("|"));
  await close();
});
